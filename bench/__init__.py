"""What proves speed: everything here runs by hand and prints what it measured."""
