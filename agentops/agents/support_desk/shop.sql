-- The shop of the sample agent support-desk: made at first use, in the data folder.
-- Dates count from that day, so that the rules of the shop have something to bite on.
BEGIN IMMEDIATE;

CREATE TABLE IF NOT EXISTS customers (
    email TEXT PRIMARY KEY,
    name TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS orders (
    number TEXT PRIMARY KEY,
    customer TEXT NOT NULL REFERENCES customers,
    ordered_on TEXT NOT NULL,
    delivered_on TEXT,
    paid_cents INTEGER NOT NULL CHECK (paid_cents > 0),
    refunded_cents INTEGER NOT NULL DEFAULT 0,
    -- Nobody gets back more than was paid, whatever the program says.
    CHECK (refunded_cents BETWEEN 0 AND paid_cents)
);
CREATE TABLE IF NOT EXISTS items (
    number TEXT NOT NULL REFERENCES orders,
    article TEXT NOT NULL,
    pieces INTEGER NOT NULL,
    cents INTEGER NOT NULL,
    PRIMARY KEY (number, article)
);
CREATE TABLE IF NOT EXISTS refunds (
    -- The idempotency key of the call that made it: one call, one refund.
    key TEXT PRIMARY KEY,
    run TEXT NOT NULL,
    number TEXT NOT NULL REFERENCES orders,
    cents INTEGER NOT NULL CHECK (cents > 0),
    reason TEXT NOT NULL,
    made_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%SZ', 'now'))
);

INSERT OR IGNORE INTO customers VALUES
    ('ana@example.org', 'Ana Ribeiro'),
    ('bo@example.org', 'Bo Lind'),
    ('cem@example.org', 'Cem Aydın'),
    ('dora@example.org', 'Dóra Nagy');
INSERT OR IGNORE INTO orders VALUES
    ('4390', 'ana@example.org', date('now', '-47 days'), date('now', '-41 days'), 10800, 0),
    ('4411', 'ana@example.org', date('now', '-9 days'), date('now', '-6 days'), 11350, 0),
    ('4412', 'bo@example.org', date('now', '-5 days'), date('now', '-3 days'), 24900, 0),
    ('4413', 'cem@example.org', date('now', '-16 days'), NULL, 12990, 0),
    ('4414', 'dora@example.org', date('now', '-12 days'), date('now', '-8 days'), 4500, 4500);
INSERT OR IGNORE INTO items VALUES
    ('4390', 'wool blanket', 1, 5900),
    ('4390', 'linen cushion', 2, 2450),
    ('4411', 'brass desk lamp', 1, 8900),
    ('4411', 'linen cushion', 1, 2450),
    ('4412', 'espresso grinder', 1, 24900),
    ('4413', 'walking boots', 1, 12990),
    ('4414', 'tea set', 1, 4500);
INSERT OR IGNORE INTO refunds VALUES
    ('seed/4414', 'before the desk', '4414', 4500, 'Cups broken on arrival.',
     strftime('%Y-%m-%dT%H:%M:%SZ', 'now', '-7 days'));

PRAGMA user_version = 1;
COMMIT;
