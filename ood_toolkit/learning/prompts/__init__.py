"""Context vectors in place of a prompt: CoOp and LoCoOp."""
