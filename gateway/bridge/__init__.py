"""The use cases: who may send, and how a submit becomes the API's answer."""
