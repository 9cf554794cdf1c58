# Completion of {tool} for fish. Generated from its options.
{profiles}
{at}

{options}
{operands}
