// The roofline of `bench --kernels`: floors, shares, and what is shown where there is nothing to show.
#include <boost/test/unit_test.hpp>
#include <nlohmann/json.hpp>

#include "experiment/kernel_table.hpp"

using namespace serveloop;

namespace {

// 2 TB/s at most, 500 TFLOP/s.
rig::KernelBench bench() {
  execute::KernelReport report;
  report.device = "a device";
  report.limits = {2e12, 1.5e12, 500e12};
  report.times = {{"decode", "norm", 4, 0, 2.0, 2e6, 0},            // floor 1 us
                  {"decode", "attention", 4, 1024, 4.0, 6e6, 5e8},  // 3 us by its bytes, 1 us by its products
                  {"prefill", "qkv", 2048, 0, 10.0, 2e6, 4e9}};     // 8 us by its products
  return {"a model", std::move(report)};
}

}  // namespace

BOOST_AUTO_TEST_SUITE(kernel_table)

BOOST_AUTO_TEST_CASE(the_floor_is_the_longer_of_moving_and_computing) {
  const execute::KernelReport report = bench().report;
  BOOST_CHECK_CLOSE(execute::floor_us(report.times[0], report.limits), 1.0, 1e-9);
  BOOST_CHECK_CLOSE(execute::floor_us(report.times[1], report.limits), 3.0, 1e-9);
  BOOST_CHECK_CLOSE(execute::floor_us(report.times[2], report.limits), 8.0, 1e-9);
}

BOOST_AUTO_TEST_CASE(bandwidth_is_the_better_of_read_and_copy) {
  BOOST_CHECK_EQUAL((execute::KernelLimits{1e12, 2e12, 0}).bytes_per_s(), 2e12);
  BOOST_CHECK_EQUAL((execute::KernelLimits{3e12, 2e12, 0}).bytes_per_s(), 3e12);
}

BOOST_AUTO_TEST_CASE(a_line_a_kernel) {
  const std::string text = experiment::kernel_table(bench());
  for (const char* part :
       {"a device; a model in BF16", "read of 2 GiB 2.000 TB/s, copy of 1 GiB 1.500 TB/s", "500.0 TFLOP/s",
        "decode   norm                      4       -       2.00    1.000         -          1.00     50.0 %",
        "decode   attention                 4    1024       4.00    1.500     125.0          3.00     75.0 %",
        "prefill  qkv                    2048       -      10.00    0.200     400.0          8.00     80.0 "
        "%"})
    BOOST_CHECK_MESSAGE(text.find(part) != std::string::npos, part << " in\n" << text);
}

BOOST_AUTO_TEST_CASE(json_has_the_table_and_the_limits) {
  const auto json = nlohmann::json::parse(experiment::kernel_json(bench()));
  BOOST_CHECK_EQUAL(json["model"], "a model");
  BOOST_CHECK_EQUAL(json["limits"]["copy_bytes_per_s"], 1.5e12);
  BOOST_REQUIRE_EQUAL(json["kernels"].size(), 3);
  BOOST_CHECK(json["kernels"][0]["keys"].is_null());
  BOOST_CHECK_EQUAL(json["kernels"][1]["keys"], 1024);
  BOOST_CHECK_CLOSE(json["kernels"][1]["bytes_per_s"].get<double>(), 1.5e12, 1e-9);
  BOOST_CHECK_CLOSE(json["kernels"][2]["of_roofline"].get<double>(), 0.8, 1e-9);
}

BOOST_AUTO_TEST_SUITE_END()
