// attack: an error log without an end
// compile: output
#include "main.c"
int x = "a" * {
    ;
