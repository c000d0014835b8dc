"""Reads metrics from standard input with the parser of OpenMetrics itself, and prints how many families and series there are."""

import sys

from prometheus_client.openmetrics.parser import text_string_to_metric_families

families = list(text_string_to_metric_families(sys.stdin.read()))
names = [family.name for family in families]
assert len(names) == len(set(names)), "a family that is written twice"
assert all(family.documentation for family in families), "a family without a word"
print(len(families), sum(len(family.samples) for family in families))
