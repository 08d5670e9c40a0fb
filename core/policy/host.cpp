#include "policy/host.hpp"

#include <utility>

namespace serveloop::policy {

template <class Of>
Result<std::shared_ptr<Of>> Host::load(const Choice& choice, const Limits& limits, Kind kind,
                                       bool as_gate) const {
  Result<Found> found = search_.find(choice.plugin, kind);
  if (!found) return tl::unexpected(found.error());
  const Manifest& manifest = found->manifest;
  if (as_gate && !manifest.gate) {
    return fail(manifest.file + ": gate", "true, to serve as a gate", "false");
  }
  if (!as_gate && manifest.gate) {
    return fail(manifest.file + ": gate", "false, to serve as the scheduler", "true",
                "name it in `policy.gates`");
  }
  Result<CheckedOptions> options = check_options(manifest, choice.options);
  if (!options) return tl::unexpected(options.error());
  const bool require_hash = needs_hash(found->by_path);
  Result<std::shared_ptr<const Library>> library = Library::open(std::move(found->manifest), require_hash);
  if (!library) return tl::unexpected(library.error());
  return Of::create(std::move(*library), std::move(*options), limits, as_gate);
}

Result<std::shared_ptr<Scheduler>> Host::load_scheduler(const Choice& choice, const Limits& limits) const {
  return load<Scheduler>(choice, limits, Kind::scheduler, false);
}

Result<std::shared_ptr<Scheduler>> Host::load_gate(const Choice& choice, const Limits& limits) const {
  return load<Scheduler>(choice, limits, Kind::scheduler, true);
}

Result<std::shared_ptr<Eviction>> Host::load_eviction(const Choice& choice, const Limits& limits) const {
  return load<Eviction>(choice, limits, Kind::eviction, false);
}

Result<std::shared_ptr<Preemption>> Host::load_preemption(const Choice& choice, const Limits& limits) const {
  return load<Preemption>(choice, limits, Kind::preemption, false);
}

Result<std::shared_ptr<Precision>> Host::load_precision(const Choice& choice, const Limits& limits) const {
  return load<Precision>(choice, limits, Kind::precision, false);
}

std::vector<Listed> Host::list() const {
  std::vector<Listed> all = search_.list();
  for (Listed& listed : all) {
    if (!listed.manifest) continue;
    if (Status status = Library::check(*listed.manifest, needs_hash(false)); !status)
      listed.problem = status.error();
  }
  return all;
}

Result<std::shared_ptr<const Library>> Host::open(const std::string& plugin) const {
  Result<Found> found = search_.find(plugin);
  if (!found) return tl::unexpected(found.error());
  return Library::open(std::move(found->manifest), needs_hash(found->by_path));
}

}  // namespace serveloop::policy
