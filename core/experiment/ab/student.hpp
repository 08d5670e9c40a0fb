// Student's t (Student, The probable error of a mean, 1908). Thread-safe: pure functions.
#pragma once

namespace serveloop::experiment::ab {

// How far a mean of normal values may lie from the truth, in its standard errors: P(|t| <= it) = confidence. Requires
// freedom >= 1 and 0 < confidence < 1.
double student_t(double confidence, unsigned freedom);
// P(Z <= -z) of a standard normal Z.
double normal_tail(double z);

}  // namespace serveloop::experiment::ab
