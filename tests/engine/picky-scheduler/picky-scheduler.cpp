// The same policy as a scheduler: a manifest serves one of the two.
#define PICKY_ID "picky-scheduler"
#include "../picky/picky.cpp"
