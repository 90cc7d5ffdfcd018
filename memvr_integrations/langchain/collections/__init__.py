"""Collections of pictures in LangChain: loaded, found, shown, answered from."""
