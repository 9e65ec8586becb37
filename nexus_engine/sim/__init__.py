"""A market to practise on."""
