"""vLLM itself, on a CPU, with a tiny model made here: `make test-vllm`."""
