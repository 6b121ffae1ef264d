"""How the log works, and what it promises. Every change of it is one Lua script (``lua/``), whole or not at all.

**Layout.** All keys of a call, and of its shard, carry one hash tag (``keys``), so that one script may touch them and a
replica has a *prefix* of what the master did to them, never a mixture. The truth about a call is its stream; beside it
lie, per group of consumers, a cursor (up to where the group has finished) and the receipts of what it did.

**Numbers.** The append script lets Redis number the entries: ``XADD 0-*`` gives 0-1, 0-2, … without gaps, whoever
appends. In the same atom the event's id is entered in the call's dedupe hash, so that an append may be repeated for
ever: the repeat is answered with the number that the first one got. Other bytes under an id that is taken are told
apart (``OTHER``). Only ``call.started`` opens a log, ``call.ended`` closes it, and nothing follows.

**Doorbells.** Each append rings once in the shard's bell stream: "this call has something new". All groups read it. A
doorbell is a hint; the pending one that a worker holds is its *token*. Doorbells may be lost, doubled or late, and only
time is lost with them: the sweeper (``ring``) rings for calls that have something to do and no doorbell. The trimmer
drops a doorbell once every group has been given it and has acknowledged it.

**Claim, commit, fence.** Whoever presents a pending token of a call that nobody holds gets a lease, the next epoch, and
the events after the cursor (``claim``). ``commit`` moves the cursor, writes the receipts and the dead letters, and
either hands over what came meanwhile or lets go and acknowledges the tokens: "is there more?" and "let go" are one
atom. It changes nothing unless the *worker*, the *epoch*, the *cursor* and the *step* (commits of this claim so far)
are those the server knows. Without a fail-over any of them would do, and they back each other up. With one, two workers
may hold the same epoch, and a claim may outlive its last commit, which moved no cursor but brought an event. A lease
that is not renewed runs out, its token is reclaimed, and the next worker begins where the last commit stands; a worker
that was paused meanwhile is fenced. Leases only limit how often work is done twice: nothing is safe because of them. A
worker is told "busy" if another holds the call, and its token is acknowledged then, unless the holder holds the call by
it, or by one that was lost: the new one is then the only one that would call somebody if the holder died. The holder
itself is granted its call anew by its own token: the answer to its first claim was lost. Further tokens of a call that
the worker sits on are shown with its claim, and share that token's end where nothing is granted: after a long outage a
call has a doorbell for each of its events. A worker that stops rings anew for tokens by which it holds nothing
(``pass_on``).

**Wake.** A handler that has nothing to do before a time lets go with a *wake* (``wk``, and a place in the shard's wake
set). When it is due any worker may turn it into ``due`` and ring (``wake``); a claim is granted to a call that is due
also if nothing is new. A new event asks earlier.

**Park.** A call a group cannot get past is put aside for that group with a reason (``park``, with commit's fence), and
given back at the cursor (``unpark``) or let pass one event or the rest (``discard``). Other calls, and other groups, do
not notice.

**Ownership.** Of several voice workers one may speak for a call: it takes an epoch (``own``) and sends it with each
append. An append is refused (``STALE``) unless the lease names its producer and its epoch. A repeat of what was
accepted is still a duplicate. After a fail-over the worker with the higher epoch keeps the call, also if the server
never heard of it.

**Retirement.** A call that has ended, that every group has finished, and that is archived may go (``retire``): its keys
expire after a grace. Its name stays in ``gone`` for thirty days, so that what comes late, such as a spool that was
away, is refused and never begins the call anew at 1.

**Fail-over.** Redis replicates behind its answers, so a replica that takes over may lack the last moments. What it has
is one earlier state of everything, in which all promises hold. What it lacks was acknowledged: producers append it
again, by its id, in their own order, before anything new of that call (``journal``), without an epoch, for it was
accepted once. Two kinds of event must wait there. One that finds no log waits for the producer that opened it. One that
closes the log, put back or new, waits a moment after a change of server, until the others have put back theirs: behind
it they would be refused. Numbers may then differ: an event that a handler has seen at 7 may stand at 8. Claims the new
server does not know are fenced; workers drop what they remember of calls (``views``) and what they hold.

What still holds for handlers: in the log as it is now they are given every event in order, from the cursor with which
it came back, and some for the second time. Over all that ever was, the events of one producer are given for the first
time in the order in which it wrote them. Between producers the order may change, for the part that was lost.

**Promises.** :data:`PROMISES` lists them. Random schedules hold a real server to each of them after every step, with
everything above in play and with faults put into the scripts to see that they are noticed: ``tests/property``,
``tests/support/log_model``, ``./dev soak log``.
"""

from typing import Final

#: The promises by number: what holds after every script, and what would follow if it fell.
PROMISES: Final = {
    "I1": "The ids of a call stream are 0-1 to 0-N. Else a reader cannot tell a gap from a loss.",
    "I2": (
        "The dedupe hash has each event's id and place, and the stream what was accepted first. Else a repeat is "
        "stored twice, or content changes behind its receipt."
    ),
    "I3": (
        "A repeat is told its first place; a refusal changes nothing. Else a producer cannot ask again after a lost "
        "answer."
    ),
    "I4": (
        "What a group has committed of a call is 1 to its cursor. Else a message is left out and its receipt is "
        "missing."
    ),
    "I5": (
        "Each event is first handled after the one before it; after a fail-over as said above. Else CCM hears the "
        "answer before the question."
    ),
    "I6": (
        "A call with unfinished events is parked, or has a doorbell that is undelivered or pending, or a wake. Else "
        "it is forgotten until the sweeper comes."
    ),
    "I7": (
        "With one living worker a group, and nothing new, every cursor reaches the end. Else something waits for ever."
    ),
    "I8": (
        "Epochs grow with every claim, and only the last claim's worker commits, parks, renews or releases. Else two "
        "workers move one cursor."
    ),
    "I9": (
        "A parked or slow call delays no other, and is given to nobody until it is given back. Else one bad message "
        "stops a contact centre."
    ),
    "I10": (
        "A call is retired only if it has ended and every group has finished it, and then never begins anew. Else it "
        "is archived in part, or exists twice under one name."
    ),
    "I11": "The archive is the stream at its end, and any change of it is found (``call_archive``).",
    "I12": (
        "After a fail-over to any earlier state and the producers' replay no acknowledged event is missing, each is "
        "there once, and each producer's are in its order; I1 to I10 hold throughout. Else an answer of the log is "
        "worth nothing."
    ),
    "I13": (
        "A call that is due and not parked has a doorbell that is undelivered or pending. Else its time comes and "
        "nobody is asked."
    ),
    "I14": "A call has a stored wake exactly if it is in the wake set. Else nobody rings for it.",
    "I15": (
        "Only the owner's appends pass under an epoch, and ownership epochs grow. Else two voices speak in one call."
    ),
    "I16": (
        "What a handler is shown is what a fresh read would give, and what it remembers follows from that. Else it "
        "decides on a call that never was."
    ),
}
