"""Seeds that once found something, each with what it was. They are told again in every run of the suite.

A change of the worlds themselves shifts what a seed tells; a finding's own test in the suite is what holds it for good.
"""

KEPT: dict[int, str] = {
    2958: "a fill that nobody told of stayed without a stop for as long as the question after it hung",
    3964: "a stop that the journal had lost stayed: its cancel was lost, and nobody looked again for a minute",
    5171: "the same, for the stop of an earlier life",
    2394: "a foreign quantity on the other side left a rest of ours that no exit can close, and 244 exits tried to",
    6191: "a late reading, older than our fills, repeated what one before them had said: our position was written off",
    # these were the checker's own mistakes
    2354: "a position ended in the calm, and the cancel of its stops waited for a submit that hung",
    127: "a wallet was compared before the account had been read",
    1372: "a foreign position of which no event came is found by the reading once a minute",
    2309: "an entry that drips: its stop follows fill by fill, and was taken for naked",
    2538: "an entry that drips while nothing else should happen",
    7571: "the order of another Nexus, and a reading that was still awaited from before",
    8214: "a part that a person closed by hand, of which no event came",
    3154: "foreign and own quantity on one symbol, and no event of the foreign one",
}
