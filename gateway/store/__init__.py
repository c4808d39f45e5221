"""What must outlive the process: unfinished long messages, receipts, short ids, sent-filters."""
