"""What is context at inside the trained networks of a suite, each analysis a function of one of them."""
