"""The phrase book, the ear that recognises it, and a voice activity detector."""

from standins.phrases.book import Phrase, PhraseBook, load_book

__all__ = ["Phrase", "PhraseBook", "load_book"]
