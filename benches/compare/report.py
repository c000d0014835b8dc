"""The figures as Markdown."""

import statistics

from loads import IDLE, LOADS

# In percent of one core: above it, somebody else has taken part in the measurement.
QUIET = 10


def markdown(result):
    parts = [f"{result['date']}, {result['machine']}.", ", ".join(f"{name} {version}" for name, version in result["versions"].items()) + "."]
    medians = {load: medians_of(result["rounds"], load) for load in dict.fromkeys(row["load"] for row in result["rounds"])}
    parts.append("**Operations per second**\n\n" + summary(medians))
    for load, of_each in medians.items():
        parts.append(f"**{load}**\n\n{details(of_each)}")
        parts += warnings(load, of_each)
    if "idle" in result:
        parts.append(f"**Memory of {IDLE:,} idle connections**\n\n{memory(result['idle'])}")
    return "\n\n".join(parts)


def medians_of(rounds, load):
    rows = [row for row in rounds if row["load"] == load]
    names = dict.fromkeys(row["contender"] for row in rows)
    return {name: median([row for row in rows if row["contender"] == name]) for name in names}


def median(rows):
    return {figure: statistics.median(row[figure] for row in rows) for figure in rows[0] if figure not in ("load", "contender", "round")}


def summary(medians):
    names = list(next(iter(medians.values())))
    return table(["", *names], ([load, *(f"{of_each[name]['per_second']:,.0f}" for name in names)] for load, of_each in medians.items()))


def details(of_each):
    heads = ["", "op/s", "proxy CPU, µs/op", "Redis CPU, µs/op", "p50, µs", "p99, µs", "other, %"]
    return table(
        heads,
        (
            [
                name,
                f"{figures['per_second']:,.0f}",
                of_proxy(figures["proxy_cpu_us"]),
                f"{figures['redis_cpu_us']:.1f}",
                f"{figures['p50_us']:,.0f}",
                f"{figures['p99_us']:,.0f}",
                f"{figures['other_percent']:.0f}",
            ]
            for name, figures in of_each.items()
        ),
    )


def warnings(load, of_each):
    disturbed = [name for name, figures in of_each.items() if figures["other_percent"] > QUIET]
    if disturbed:
        yield f"Disturbed: something else took more than {QUIET} % of a core beside {', '.join(disturbed)}."
    unresumed = [f"{name} ({figures['resumed_percent']:.0f} %)" for name, figures in of_each.items() if figures["resumed_percent"] < 99]
    if "--resume" in LOADS[load] and unresumed:
        yield f"Not all of these were resumed: {', '.join(unresumed)}."


def memory(idle):
    rows = ([name, of_proxy(kib["proxy_kib"]), f"{kib['redis_kib']:.1f}"] for name, kib in idle.items())
    return table(["", "proxy, KiB each", "Redis, KiB each"], rows)


def of_proxy(figure):
    """Redis with its own TLS has none."""
    return f"{figure:.1f}" if figure else "–"


def table(heads, rows):
    lines = [heads, ["---", *["---:"] * (len(heads) - 1)], *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)
