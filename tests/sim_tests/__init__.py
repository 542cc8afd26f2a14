"""Tests of the fakes themselves: a fake that is wrong makes every other test worthless."""
