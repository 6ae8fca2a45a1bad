// LoRA (Hu et al. 2021): y = W x + s B (A drop(x)), s = alpha/r, or alpha/sqrt(r) for rsLoRA (Kalajdzievski 2023).
// The A matrices of a site's targets lie one after the other, so a site needs one skinny product instead of three.
#include <cmath>
#include <vector>

#include "core/random.hpp"
#include "peft/method.hpp"

namespace slm {

namespace {

struct Target {
    int linear;  // index within the site
    int64_t n_out;
    uint64_t key;  // of its dropout
    int64_t a, b;  // offsets in the parameter block: A [r, n_in], B [n_out, r]
};

struct SiteTargets {
    std::vector<Target> targets;
    int64_t n_in = 0;
};

class Lora final : public Method {
 public:
    Lora(const Model &model, const slm_adapter_params &params);

    void initialize(float *parameters) const override;
    int64_t kept_values(Site site, int layer, int64_t T) const override { return T * stride(at(site, layer)); }
    int64_t scratch_values(int64_t T) const override { return T * (widest_ + (dropout_ > 0 ? longest_ : 0)); }
    void linear_forward(const RunState &run, Site site, int layer, ConstValues x, LinearOutput *outputs, Values kept,
                        float *scratch) const override;
    int linear_backward(const RunState &run, Site site, int layer, ConstValues x, const ConstValues *dy,
                        LinearGradTerm *terms, int n_terms, Values kept, float *scratch) const override;
    bool adds_to_input_gradient(const RunState &run) const override { return drops(run); }
    void linear_backward_input(const RunState &run, Site site, int layer, float *dx, Values kept,
                               float *scratch) const override;
    void merge(const float *parameters, int64_t tensor, float *w) const override;

 private:
    const SiteTargets &at(Site site, int layer) const {
        return sites_[static_cast<size_t>(layer * kSites + static_cast<int>(site))];
    }
    int64_t width(const SiteTargets &site) const { return static_cast<int64_t>(site.targets.size()) * rank_; }
    // Of rows of u and du: an odd rank leaves room for the zero that ends rounded values.
    int64_t stride(const SiteTargets &site) const { return width(site) + rank_ % 2 * (2 - width(site) % 2); }
    bool drops(const RunState &run) const { return run.training && dropout_ > 0; }
    // out = dropout mask of `target` applied to x [T, n_in]
    void drop(const RunState &run, const Target &target, int64_t n_in, ConstValues x, Values out) const;

    int64_t rank_;
    float scale_, dropout_;
    uint64_t seed_;
    QuantType f32_;
    std::vector<SiteTargets> sites_;  // [layer][site]
    int64_t widest_ = 0, longest_ = 0;
};

Lora::Lora(const Model &model, const slm_adapter_params &params)
    : Method(model),
      rank_(params.rank),
      scale_(params.scale),
      dropout_(params.dropout),
      seed_(params.seed),
      f32_(*find_quant_type(0)) {
    constexpr int most = 1 << 16;
    if (params.rank < 1 || params.rank > most)
        fail(SLM_STATUS_INVALID_ARGUMENT, "rank is %d, expected 1 to %d", params.rank, most);
    if (!std::isfinite(params.scale)) fail(SLM_STATUS_INVALID_ARGUMENT, "LoRA scale is not finite");
    if (!(params.dropout >= 0 && params.dropout < 1))
        fail(SLM_STATUS_INVALID_ARGUMENT, "dropout is %g, expected 0 <= dropout < 1",
             static_cast<double>(params.dropout));
    if (params.targets == 0 || params.targets >> kLinears)
        fail(SLM_STATUS_INVALID_ARGUMENT, "targets 0x%x name no linear, expected bits 0 to %d", params.targets,
             kLinears - 1);
    for (int layer = 0; layer < model.config().n_layer; ++layer)
        for (int s = 0; s < kSites; ++s) {
            const SiteLinears linears = linears_of(static_cast<Site>(s));
            SiteTargets site;
            for (int i = 0; i < linears.count; ++i) {
                if (!(params.targets >> static_cast<int>(linears.linears[i]) & 1)) continue;
                const ModelTensor &base = model.tensor(role_of(linears.linears[i]), layer);
                site.n_in = base.weight.columns;
                const int64_t a = add_trainable(base.name + ".lora_a", site.n_in, rank_, 2, false);
                site.targets.push_back({i, base.weight.rows, hash_name(base.name.c_str()), a, 0});
            }
            for (Target &target : site.targets) {
                const ModelTensor &base = model.tensor(role_of(linears.linears[target.linear]), layer);
                target.b = add_trainable(base.name + ".lora_b", rank_, target.n_out, 2, false);
            }
            widest_ = std::max(widest_, stride(site));
            longest_ = std::max(longest_, site.n_in);
            sites_.push_back(std::move(site));
        }
}

// A ~ kaiming_uniform(sqrt 5) = U(-1/sqrt(n_in), 1/sqrt(n_in)), B = 0
void Lora::initialize(float *parameters) const {
    for (const TrainableTensor &tensor : trainables_) {
        float *out = parameters + tensor.offset;
        const bool is_a = tensor.name.back() == 'a';
        const uint64_t key = combine_keys(seed_, hash_name(tensor.name.c_str()));
        const float bound = 1.0f / std::sqrt(static_cast<float>(tensor.columns));
        for (int64_t i = 0; i < tensor.n_values(); ++i)
            out[i] = is_a ? (2.0f * random_unit(key, static_cast<uint64_t>(i)) - 1.0f) * bound : 0.0f;
    }
}

void Lora::drop(const RunState &run, const Target &target, int64_t n_in, ConstValues x, Values out) const {
    for (int64_t s = 0; s < run.seqs.count; ++s) {
        const int64_t first = run.seqs.offsets[s], n = run.seqs.offsets[s + 1] - first;
        const uint64_t key = combine_keys(combine_keys(run.dropout_seed, target.key), run.sample_keys[s]);
        model_.backend().dropout(n, n_in, key, run.first_row, dropout_, x.at(first * n_in), out.at(first * n_in));
    }
}

// kept = u = s A drop(x), [T, targets * r]
void Lora::linear_forward(const RunState &run, Site site, int layer, ConstValues x, LinearOutput *outputs, Values kept,
                          float *scratch) const {
    const SiteTargets &own = at(site, layer);
    if (own.targets.empty()) return;
    Backend &backend = model_.backend();
    const int64_t T = run.seqs.tokens(), ld = stride(own), n_in = own.n_in;
    LinearOutput u;
    u.y = kept;
    u.ldy = ld;
    if (!drops(run)) {
        u.terms[0] = {x, n_in, {&f32_, run.parameters + own.targets[0].a, width(own), n_in}};
        backend.linear(T, &u, 1);
    } else {
        const Values dropped(scratch + T * widest_, x.format);
        for (size_t i = 0; i < own.targets.size(); ++i) {
            drop(run, own.targets[i], n_in, x, dropped);
            u.y = kept.at(static_cast<int64_t>(i) * rank_);
            u.terms[0] = {dropped, n_in, {&f32_, run.parameters + own.targets[i].a, rank_, n_in}};
            backend.linear(T, &u, 1);
        }
    }
    backend.scale(T * ld, scale_, kept);
    for (size_t i = 0; i < own.targets.size(); ++i) {
        const Target &target = own.targets[i];
        LinearOutput &out = outputs[target.linear];
        out.terms[out.n_terms++] = {
            kept.at(static_cast<int64_t>(i) * rank_), ld, {&f32_, run.parameters + target.b, target.n_out, rank_}};
    }
}

// forward: u = s A x, y += B u; so dB = dy u^T, du = s B^T dy, dA = du x^T, dx += A^T du.
int Lora::linear_backward(const RunState &run, Site site, int layer, ConstValues x, const ConstValues *dy,
                          LinearGradTerm *terms, int n_terms, Values kept, float *scratch) const {
    const SiteTargets &own = at(site, layer);
    if (own.targets.empty()) return n_terms;
    Backend &backend = model_.backend();
    const int64_t T = run.seqs.tokens(), R = width(own), ld = stride(own), n_in = own.n_in;
    const Values du(scratch, x.format), dropped(scratch + T * widest_, x.format);
    OuterJob jobs[4];
    int n_jobs = 0;
    for (const Target &target : own.targets) {
        const int64_t column = n_jobs * rank_;
        const LinearGradTerm through_b{
            dy[target.linear], target.n_out, {&f32_, run.parameters + target.b, target.n_out, rank_}};
        backend.linear_backward(T, &through_b, 1, du.at(column), ld, false);
        jobs[n_jobs++] = {kept.at(column),          ld,    rank_, dy[target.linear], target.n_out, target.n_out,
                          run.gradients + target.b, rank_, true};
    }
    backend.scale(T * ld, scale_, du);
    if (!drops(run)) {
        jobs[n_jobs++] = {du, ld, R, x, n_in, n_in, run.gradients + own.targets[0].a, n_in, false};
        backend.outer(run.seqs, jobs, n_jobs);
        terms[n_terms++] = {du, ld, {&f32_, run.parameters + own.targets[0].a, R, n_in}};
        return n_terms;
    }
    backend.outer(run.seqs, jobs, n_jobs);
    for (size_t i = 0; i < own.targets.size(); ++i) {
        drop(run, own.targets[i], n_in, x, dropped);
        const OuterJob job{du.at(static_cast<int64_t>(i) * rank_), ld,   rank_, dropped, n_in, n_in,
                           run.gradients + own.targets[i].a,       n_in, false};
        backend.outer(run.seqs, &job, 1);
    }
    return n_terms;
}

void Lora::linear_backward_input(const RunState &run, Site site, int layer, float *dx, Values kept,
                                 float *scratch) const {
    const SiteTargets &own = at(site, layer);
    if (own.targets.empty()) return;
    Backend &backend = model_.backend();
    const int64_t T = run.seqs.tokens(), ld = stride(own), n_in = own.n_in;
    const Values du(scratch, kept.format);
    float *dropped = scratch + T * widest_;
    for (size_t i = 0; i < own.targets.size(); ++i) {
        const LinearGradTerm term{
            du.at(static_cast<int64_t>(i) * rank_), ld, {&f32_, run.parameters + own.targets[i].a, rank_, n_in}};
        backend.linear_backward(T, &term, 1, dropped, n_in, false);
        drop(run, own.targets[i], n_in, dropped, dropped);
        backend.add(T * n_in, dropped, dx);
    }
}

void Lora::merge(const float *parameters, int64_t tensor, float *w) const {
    for (size_t index = 0; index < sites_.size(); ++index)
        for (const Target &target : sites_[index].targets) {
            const Linear linear = linears_of(static_cast<Site>(index % kSites)).linears[target.linear];
            if (model_.index(role_of(linear), static_cast<int>(index / kSites)) != tensor) continue;
            const int64_t n_in = sites_[index].n_in;
            std::vector<float> scaled(parameters + target.b, parameters + target.b + target.n_out * rank_);
            for (float &value : scaled) value *= scale_;
            model_.backend().matmul(target.n_out, n_in, rank_, {scaled.data(), rank_, 1},
                                    {parameters + target.a, n_in, 1}, w, n_in, true);
        }
}

}  // namespace

std::unique_ptr<Method> make_lora(const Model &model, const slm_adapter_params &params) {
    return std::make_unique<Lora>(model, params);
}

}  // namespace slm
