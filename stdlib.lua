-- stdlib.lua: the vocabulary of a container script.
return {}
