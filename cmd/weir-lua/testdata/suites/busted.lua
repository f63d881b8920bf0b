-- Runs the suite of the present directory by busted, and prints a line for each test.
require "busted.runner" { standalone = false }
