// The entry of libFuzzer for programs that have a `main` of their own (LLVM's FuzzerInterface.h); clang_rt.fuzzer_no_main has it.
#pragma once
#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerRunDriver(int *argc, char ***argv, int (*test_one_input)(const uint8_t *data, size_t size));
