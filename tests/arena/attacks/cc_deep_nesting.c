// attack: brackets nested until the compiler's stack ends
// compile: failed time wall memory disk output
#define P ((((((((((
#define Q ))))))))))
#define R P P P P P P P P P P
#define S Q Q Q Q Q Q Q Q Q Q
#define T R R R R R R R R R R
#define U S S S S S S S S S S
#define V T T T T T T T T T T
#define W U U U U U U U U U U
#define X V V V V V V V V V V
#define Y W W W W W W W W W W
int main(void) {
    return X 0 Y;
}
