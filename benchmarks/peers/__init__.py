"""The systems we compare with, each driven through its own public interface."""
