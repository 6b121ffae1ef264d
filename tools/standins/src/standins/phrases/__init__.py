"""The phrase book, the ear that recognises it, and a detector of speech.

book = load_book()                                   # ids: customer.* human.* generic.* sales.* support.* billing.*
book["customer.ask_invoice"].pcm(48_000)             # what to play
Ear(book).recognise(pcm, rate)                       # one utterance -> Heard(phrase_id | None, text, score, fraction)
listen(ear, recording, rate)                         # a whole recording -> [Said(start_s, end_s, heard)]
"""

from standins.phrases.book import Phrase, PhraseBook, load_book
from standins.phrases.ear import Ear, Heard
from standins.phrases.listen import Said, listen
from standins.phrases.vad import Stretch, Turn, Vad, VadEvent, stretches

__all__ = [
    "Ear",
    "Heard",
    "Phrase",
    "PhraseBook",
    "Said",
    "Stretch",
    "Turn",
    "Vad",
    "VadEvent",
    "listen",
    "load_book",
    "stretches",
]
