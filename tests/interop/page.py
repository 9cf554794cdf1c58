"""docs/interop.md, from the results of a run."""

import checks

# Brokers that cannot be installed here, and why.
NOT_RUN = {
    "EMQX": "its packages are in none of the registries that this machine reaches",
    "HiveMQ": "its packages are in none of the registries that this machine reaches",
    "Adafruit IO": "a service; it needs an account and the internet",
}

START = """\
# Interoperability

mqpub, mqsub and mqbench against other brokers, and against mqbroker. The table is the output of `tests/interop/run`,
which starts each broker with free ports and ends it: {about}.

A cell is one of: works; refused (by the broker, with the reason); wrong (not what the standard asks for, with what was
seen); not offered (by the broker, or by its package). A number in a cell belongs to a note below the table.

Without a protocol version the checks use MQTT 3.1.1. At each QoS 20 messages go from a publisher through the broker to a
subscriber, and each must come exactly once, in order, at that QoS. The will is that of a client that is killed. The durable
session gets three messages while its client is away. Two clients of a shared subscription must get 20 messages between
them, with MQTT 5 where the broker has it.
The last column is what mqbench delivered per second in its flood stage, with broker and generator on the same two
cores and each broker as its package configures it: it shows that the broker stands the load, not how brokers compare.
"""


def table(kinds, results):
    """A row for each broker; what is longer than a word is a note."""
    names = [name for name, _ in checks.ALL]
    lines = ["| Broker | " + " | ".join(names) + " | run on |", "|---|" + "---|" * len(names) + "---|"]
    notes = []
    for kind in kinds:
        if kind.name not in results:
            lines.append(f"| {kind.name} | " + "not run | " * len(names) + "|")
            continue
        result = results[kind.name]
        cells = result["cells"]
        row = []
        for name in names:
            word, _, text = cells[name].partition(": ")
            if text:
                notes.append(f"{kind.name}, {name}: {text}")
                word += f" ({len(notes)})"
            row.append(word)
        lines.append(f"| {kind.name} {result['version']} ({kind.source}) | {' | '.join(row)} | {result['date']} |")
    for name in NOT_RUN:
        lines.append(f"| {name} | " + "not run here | " * len(names) + "– |")
    # A Markdown table has no place for a bar, and text of a broker is data.
    numbered = (f"{number}. {note.replace('|', '/').replace('<', '&lt;')}" for number, note in enumerate(notes, 1))
    return "\n".join([*lines, "", *numbered])


def write(path, kinds, results, about):
    quirks = [f"- **{kind.name}**: {' '.join(kind.quirks)}" for kind in kinds if kind.quirks]
    absent = [f"- **{name}** was not run here: {why}." for name, why in NOT_RUN.items()]
    text = [START.format(about=about), table(kinds, results), "", "## What to know", "", *quirks, *absent]
    path.write_text("\n".join(text) + "\n")
