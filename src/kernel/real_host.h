/*
 * Our own elementary functions in double for the host: initialization, schedules, rotary angles,
 * logarithms of sums. Made of fma, rint, ldexp and frexp only, so the bits are the same on every
 * machine and C library. Relative error below 4 ulp in the ranges stated. Thread-safe.
 */
#ifndef BV_KERNEL_REAL_HOST_H
#define BV_KERNEL_REAL_HOST_H

double bv_exp(double x);           /* all x                                       */
double bv_log(double x);           /* x > 0; -inf at 0, NaN below                  */
double bv_pow(double x, double y); /* x > 0, error grows with |y log x|            */
double bv_sin(double x);           /* |x| < 1e6                                    */
double bv_cos(double x);

#endif
