"""What was recorded stays, and a request moves only as it may, whoever writes to the table."""

from django.db import migrations, models

# A role that owns the tables can still switch this off; what then shows it is a copy elsewhere.
STAYS = """
CREATE FUNCTION approval_record_stays() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'record % is evidence: it is neither changed nor deleted', OLD.id
        USING ERRCODE = 'integrity_constraint_violation';
END $$;
CREATE TRIGGER approval_record_stays BEFORE UPDATE OR DELETE ON approval_record
    FOR EACH ROW EXECUTE FUNCTION approval_record_stays();
ALTER TABLE approval_record ENABLE ALWAYS TRIGGER approval_record_stays;
"""
# The same steps as approvals.moves.NEXT; a test compares the two.
MOVES = """
CREATE FUNCTION approval_request_moves() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.state = 'pending' AND NEW.state NOT IN ('consumed', 'lapsed', 'revoked') THEN
        RETURN NEW;
    END IF;
    IF OLD.state = 'approved' AND NEW.state IN
        ('consumed', 'lapsed', 'revoked', 'superseded', 'cancelled', 'pending') THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'request % is % and cannot become %', OLD.public_id, OLD.state, NEW.state
        USING ERRCODE = 'integrity_constraint_violation';
END $$;
CREATE TRIGGER approval_request_moves BEFORE UPDATE OF state ON approval_request
    FOR EACH ROW WHEN (OLD.state IS DISTINCT FROM NEW.state)
    EXECUTE FUNCTION approval_request_moves();
ALTER TABLE approval_request ENABLE ALWAYS TRIGGER approval_request_moves;
"""
UNDO = """
DROP TRIGGER approval_record_stays ON approval_record;
DROP FUNCTION approval_record_stays();
DROP TRIGGER approval_request_moves ON approval_request;
DROP FUNCTION approval_request_moves();
"""


class Migration(migrations.Migration):
    dependencies = [("approvals", "0003_snooze")]

    operations = [
        migrations.AddIndex(
            model_name="record",
            index=models.Index("run_public_id", "id", name="record_of_run"),
        ),
        migrations.RunSQL(STAYS + MOVES, UNDO),
    ]
