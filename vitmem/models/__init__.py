"""Networks and the plug-in contract that they keep."""
