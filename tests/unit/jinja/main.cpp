#define BOOST_TEST_MODULE jinja
#include <boost/test/unit_test.hpp>
