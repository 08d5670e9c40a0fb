// The product of the loop, over the CPU executor, as a covering array: every two values of any two factors meet.
#pragma once

#include "covering.hpp"
#include "cpu_traffic.hpp"

namespace serveloop::test {

std::vector<std::size_t> array_sizes();  // how many values each factor has
const std::vector<Row>& array_rows();
// Law 1 in each row's setting, and that what a setting allows took place at least 20 times.
void check_array(CpuTraffic& traffic);

}  // namespace serveloop::test
