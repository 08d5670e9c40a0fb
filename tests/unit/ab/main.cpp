#define BOOST_TEST_MODULE ab
#include <boost/test/unit_test.hpp>
