#define BOOST_TEST_MODULE execute
#include <boost/test/unit_test.hpp>
