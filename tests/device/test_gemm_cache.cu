// The file of Gemm's choices: what one saves another takes up; a damaged file is named and leaves no choice; a file is
// replaced as a whole.
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "check.cuh"
#include "kernels/cuda/gemm_cache.hpp"

using namespace device_test;
using namespace serveloop::kernels::cuda;

namespace {

constexpr GemmShape shape = {1024, 2048};
constexpr int rows = 300;

std::string read_file(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

void write_file(const std::string& path, const std::string& text) {
  std::ofstream(path, std::ios::binary) << text;
}

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

// Whether a new Gemm takes up all choices of the file without a search.
bool is_taken_up(const std::string& path) {
  Gemm gemm;
  require(gemm.open());
  const GemmCacheStatus status = load_gemm_cache(path, gemm);
  require(gemm.plan(shape, rows));
  return status.ok() && status.found && gemm.choice(shape, 1)->us == 0.0 &&
         gemm.choice(shape, rows)->us == 0.0;
}

void test_round(const std::string& path, const Gemm& gemm) {
  check(save_gemm_cache(path, gemm).ok(), "choices were not saved");
  check(is_taken_up(path), "saved choices were searched for again");
  Gemm other;
  require(other.open());
  check(save_gemm_cache(path, other).ok() && !contains(read_file(path), "\ngemm "),
        "a file was not replaced");
  check(save_gemm_cache(path, gemm).ok() && is_taken_up(path), "a file was not replaced by a longer one");
  int files = 0;
  for ([[maybe_unused]] const auto& entry :
       std::filesystem::directory_iterator(std::filesystem::path(path).parent_path()))
    ++files;
  check(files == 1, "a file beside the choices was left");
}

void test_damage(const std::string& path) {
  const std::string good = read_file(path);
  const auto refused = [&](const std::string& text) {
    write_file(path, text);
    Gemm gemm;
    require(gemm.open());
    const GemmCacheStatus status = load_gemm_cache(path, gemm);
    require(gemm.plan(shape, 16));
    return !status.ok() && contains(status.problem, path) && contains(status.problem, "expected") &&
           contains(status.problem, "delete the file") && gemm.choice(shape, 1)->us > 0.0;
  };
  check(refused(""), "an empty file was taken");
  check(refused("no choices at all\n"), "a file of something else was taken");
  check(refused(good.substr(0, good.size() - 1)), "a file without its end was taken");
  check(refused(good.substr(0, good.size() / 2)), "half a file was taken");
  check(refused(good.substr(0, 25)), "a file's first line was taken");
  check(refused(good + good), "two files in one were taken");
  check(refused(good + std::string(std::size_t{5} << 20, ' ')), "a file of 5 MiB was taken");
  for (const std::size_t at : {std::size_t{3}, std::size_t{60}, good.size() / 2, good.size() - 3}) {
    std::string changed = good;
    changed[at] = changed[at] == '1' ? '2' : '1';
    check(refused(changed), "a file with another byte at " + std::to_string(at) + " was taken");
  }
  write_file(path, good);
  check(is_taken_up(path), "the file as it was is refused");
}

void test_refusals(const std::string& folder, Gemm& gemm) {
  const GemmCacheStatus none = load_gemm_cache(folder + "/none.txt", gemm);
  check(none.ok() && !none.found, "no file is a problem");
  const GemmCacheStatus nowhere = save_gemm_cache(folder + "/none/choices.txt", gemm);
  check(!nowhere.ok() && contains(nowhere.problem, "/none/choices.txt"),
        "a folder that isn't was written to");
  std::filesystem::create_directory(folder + "/taken");
  write_file(folder + "/taken/file", "x");
  check(!save_gemm_cache(folder + "/taken", gemm).ok(), "a folder was replaced");
  check(!load_gemm_cache(folder + "/taken", gemm).ok(), "a folder was read");
  check(!contains(gemm_cache_path("a", gemm).substr(2), "/") && !contains(gemm_cache_path("a", gemm), " "),
        "the path has letters that a name may not have");
}

}  // namespace

int main() {
  const std::filesystem::path folder =
      std::filesystem::temp_directory_path() / ("serveloop-gemm-" + std::to_string(getpid()));
  std::filesystem::remove_all(folder);
  std::filesystem::create_directories(folder / "cache");
  Gemm gemm;
  require(gemm.open());
  require(gemm.plan(shape, rows));
  const std::string path = gemm_cache_path((folder / "cache").string(), gemm);
  test_round(path, gemm);
  test_damage(path);
  test_refusals(folder.string(), gemm);
  std::filesystem::remove_all(folder);
  return report("gemm cache");
}
