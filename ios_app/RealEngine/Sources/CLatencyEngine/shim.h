// Found where the compiler is told to look: -Xcc -I benchmarks/native_runner
#include <latency_engine.h>
