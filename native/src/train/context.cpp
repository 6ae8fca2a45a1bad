#include "train/context.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace slm {

namespace {

// Up to this many rows everything is kept.
int64_t fill_tokens(const slm_context_params &params) {
    return std::max(1, params.micro_batch_tokens / 2);
}

// Of a batch. In training what is filled beyond fill_tokens is one long sequence.
int64_t most_rows(const slm_context_params &params) {
    const int64_t packed = params.training ? fill_tokens(params) : params.micro_batch_tokens;
    return std::max<int64_t>(packed, params.max_sequence_tokens);
}

slm_context_params checked(slm_context_params params) {
    if (params.compute < SLM_COMPUTE_F32 || params.compute > SLM_COMPUTE_INT8)
        fail(SLM_STATUS_UNSUPPORTED, "compute mode number %u is unknown, expected %d (f32), %d (bf16) or %d (int8)",
             params.compute, SLM_COMPUTE_F32, SLM_COMPUTE_BF16, SLM_COMPUTE_INT8);
    if (params.micro_batch_tokens < 1 || params.max_sequence_tokens < 1 || params.logit_rows < 0)
        fail(SLM_STATUS_INVALID_ARGUMENT,
             "micro_batch_tokens %d, max_sequence_tokens %d and logit_rows %d: expected at least 1, 1 and 0",
             params.micro_batch_tokens, params.max_sequence_tokens, params.logit_rows);
    constexpr int most = 1 << 24;
    if (params.micro_batch_tokens > most || params.max_sequence_tokens > most || params.logit_rows > most)
        fail(SLM_STATUS_INVALID_ARGUMENT,
             "micro_batch_tokens %d, max_sequence_tokens %d and logit_rows %d: expected at most %d",
             params.micro_batch_tokens, params.max_sequence_tokens, params.logit_rows, most);
    if (params.logit_rows == 0) params.logit_rows = 256;
    params.logit_rows = static_cast<int32_t>(std::min<int64_t>(params.logit_rows, most_rows(params)));
    return params;
}

size_t layout_bytes(Decoder &decoder, int64_t T, KeptLayers kept, bool backward) {
    Arena arena;
    decoder.lay_out(arena, T, kept, backward);
    return arena.used();
}

// Rows up to micro_batch_tokens keep attention; longer ones what 45 % more than the least has room for, of up to eight
// micro-batches. What does not grow with the rows is no part of that share.
size_t work_bytes(Decoder &decoder, const slm_context_params &params) {
    const int64_t rows = most_rows(params), fill = fill_tokens(params), micro = params.micro_batch_tokens;
    const auto least = [&](int64_t T) { return layout_bytes(decoder, T, {Keep::RESIDUAL}, true); };
    size_t most = layout_bytes(decoder, rows, {Keep::NOTHING}, false);
    if (!params.training) return most;
    most = std::max(most, layout_bytes(decoder, fill, {Keep::ALL}, true));
    if (rows > fill) most = std::max(most, layout_bytes(decoder, std::min(rows, micro), {Keep::NO_FFN}, true));
    if (rows > micro) {
        const size_t more = (least(std::min(rows, 8 * micro)) - least(1)) * 9 / 20;
        most = std::max(most, std::min(least(rows) + more, layout_bytes(decoder, rows, {Keep::ALL}, true)));
    }
    return align_up(most);
}

int64_t linear_weights(const Model &model) {
    int64_t n = 0;
    for (int layer = 0; layer < model.config().n_layer; ++layer)
        for (int i = 0; i < kLinears; ++i) n += model.tensor(role_of(static_cast<Linear>(i)), layer).n_values();
    return n + model.tensor(model.tied_head() ? ROLE_TOKEN_EMBD : ROLE_OUTPUT).n_values();
}

}  // namespace

Adapter::Adapter(std::shared_ptr<Model> model, const slm_adapter_params &params)
    : model_(std::move(model)), method_(make_method(*model_, params)) {}

float *Adapter::parameters() const {
    std::call_once(made_, [this] {
        Buffer block(static_cast<size_t>(method_->n_values()) * sizeof(float));
        method_->initialize(block.floats());
        parameters_ = std::move(block);
    });
    return parameters_.floats();
}

Context::Context(std::shared_ptr<Model> model, std::shared_ptr<Adapter> adapter, const slm_context_params &params)
    : model_(std::move(model)),
      adapter_(std::move(adapter)),
      frozen_(adapter_ ? nullptr : make_frozen(*model_)),
      params_(checked(params)),
      decoder_(*model_, method(), most_rows(params_), params_.logit_rows, static_cast<slm_compute>(params_.compute)) {
    if (params_.training && !adapter_)
        fail(SLM_STATUS_INVALID_ARGUMENT, "a training context needs an adapter, none was given");
    work_ = Buffer(work_bytes(decoder_, params_));
    if (params_.training) {
        adapter_->parameters();
        state_ = Buffer(static_cast<size_t>(3 * n_values()) * sizeof(float));
        std::memset(state_.data(), 0, state_.bytes());
    }
    const size_t T = static_cast<size_t>(most_rows(params_));
    positions_.resize(T);
    rows_.reserve(T);
    row_targets_.reserve(T);
    row_losses_.resize(T);
    keys_.resize(T);
}

void Context::plan(const Model &model, const Adapter *adapter, const slm_context_params &params, slm_plan &out) {
    const slm_context_params own = checked(params);
    const std::unique_ptr<Method> frozen = adapter ? nullptr : make_frozen(model);
    const Method &method = adapter ? adapter->method() : *frozen;
    const auto work = [&](int64_t logit_rows) {
        Decoder decoder(model, method, 1, logit_rows, static_cast<slm_compute>(own.compute));
        return static_cast<uint64_t>(work_bytes(decoder, own));
    };
    const uint64_t values = static_cast<uint64_t>(method.n_values());
    out.weight_bytes = model.weight_bytes();
    out.parameter_bytes = values * 4;
    out.optimizer_bytes = own.training ? values * 12 : 0;
    // With logits the share of long rows is counted from more, so that all may be less than without.
    const uint64_t all = work(own.logit_rows);
    out.activation_bytes = std::min(all, work(0));
    out.logit_bytes = all - out.activation_bytes;
    out.pack_bytes = static_cast<uint64_t>(model.backend().pack_bytes());
    out.total_bytes =
        out.parameter_bytes + out.optimizer_bytes + out.activation_bytes + out.logit_bytes + out.pack_bytes;
    out.fill_tokens = static_cast<int32_t>(fill_tokens(own));
    out.flops_per_token = (own.training ? 4.0 : 2.0) * static_cast<double>(linear_weights(model));
}

float *Context::block(uint32_t block) const {
    if (block == SLM_BLOCK_PARAMETERS && adapter_) return adapter_->parameters();
    if (block < SLM_BLOCK_GRADIENTS || block > SLM_BLOCK_MOMENT2 || !params_.training)
        fail(SLM_STATUS_INVALID_ARGUMENT, "block %u does not exist in this context (training is %u)", block,
             params_.training);
    return state_.floats() + (static_cast<int64_t>(block) - SLM_BLOCK_GRADIENTS) * n_values();
}

// As much as the block has room for.
KeptLayers Context::kept_for(int64_t T) {
    const auto fits = [&](KeptLayers kept) { return layout_bytes(decoder_, T, kept, true) <= work_.bytes(); };
    KeptLayers kept{Keep::ALL};
    while (kept.least != Keep::RESIDUAL && !fits(kept))
        kept.least = static_cast<Keep>(static_cast<int>(kept.least) + 1);
    if (kept.least == Keep::ALL) return kept;
    // The first count is known to fit, the second not to.
    for (int end = model_->config().n_layer; end - kept.more > 1;) {
        const int middle = (kept.more + end) / 2;
        (fits({kept.least, middle}) ? kept.more : end) = middle;
    }
    return kept;
}

void Context::check_batch(const slm_batch &batch, bool training) const {
    const int64_t T = batch.n_tokens, S = batch.n_sequences, longest = static_cast<int64_t>(positions_.size());
    if (T < 1 || S < 1 || batch.tokens == nullptr || batch.offsets == nullptr)
        fail(SLM_STATUS_INVALID_ARGUMENT, "a batch of %lld tokens in %lld sequences: expected at least one of each",
             static_cast<long long>(T), static_cast<long long>(S));
    if (T > longest)
        fail(SLM_STATUS_INVALID_ARGUMENT, "a batch of %lld tokens does not fit a context made for %lld",
             static_cast<long long>(T), static_cast<long long>(longest));
    if (batch.offsets[0] != 0 || batch.offsets[S] != T)
        fail(SLM_STATUS_INVALID_ARGUMENT, "sequence offsets run from %lld to %lld, expected 0 to %lld",
             static_cast<long long>(batch.offsets[0]), static_cast<long long>(batch.offsets[S]),
             static_cast<long long>(T));
    for (int64_t s = 0; s < S; ++s) {
        const int64_t n = batch.offsets[s + 1] - batch.offsets[s];
        if (n < 1) fail(SLM_STATUS_INVALID_ARGUMENT, "sequence %lld is empty", static_cast<long long>(s));
        if (n > T) fail(SLM_STATUS_INVALID_ARGUMENT, "sequence %lld ends outside the batch", static_cast<long long>(s));
        if (batch.parents != nullptr && (batch.parents[s] < -1 || batch.parents[s] >= s))
            fail(SLM_STATUS_INVALID_ARGUMENT, "parent %lld of sequence %lld is not an earlier one, nor -1",
                 static_cast<long long>(batch.parents[s]), static_cast<long long>(s));
        if (training && batch.parents != nullptr && batch.parents[s] >= 0)
            fail(SLM_STATUS_INVALID_ARGUMENT, "sequence %lld has a parent: expected none where a backward follows",
                 static_cast<long long>(s));
    }
    const int32_t vocab = model_->config().n_vocab;
    for (int64_t t = 0; t < T; ++t) {
        if (batch.tokens[t] < 0 || batch.tokens[t] >= vocab)
            fail(SLM_STATUS_INVALID_ARGUMENT, "token %d at row %lld is outside the vocabulary of %d", batch.tokens[t],
                 static_cast<long long>(t), vocab);
        if (batch.targets != nullptr && (batch.targets[t] < -1 || batch.targets[t] >= vocab))
            fail(SLM_STATUS_INVALID_ARGUMENT, "target %d at row %lld is outside the vocabulary of %d", batch.targets[t],
                 static_cast<long long>(t), vocab);
        if (batch.positions != nullptr && (batch.positions[t] < 0 || batch.positions[t] >= longest))
            fail(SLM_STATUS_INVALID_ARGUMENT, "position %d at row %lld is outside [0, %lld)", batch.positions[t],
                 static_cast<long long>(t), static_cast<long long>(longest));
    }
}

void Context::check_row(const slm_batch &batch, int64_t row) const {
    if (row < 0 || row >= batch.n_tokens)
        fail(SLM_STATUS_INVALID_ARGUMENT, "row %lld is outside the batch of %lld tokens", static_cast<long long>(row),
             static_cast<long long>(batch.n_tokens));
}

RunState Context::prepare(const slm_batch &batch, bool training) {
    check_batch(batch, training);
    RunState run;
    run.seqs = {batch.n_sequences, batch.offsets, batch.parents};
    for (int64_t s = 0; s < batch.n_sequences; ++s) {
        keys_[static_cast<size_t>(s)] = batch.sample_keys ? batch.sample_keys[s] : static_cast<uint64_t>(s);
        const int64_t before = run.seqs.inherited(s);
        for (int64_t t = batch.offsets[s]; t < batch.offsets[s + 1]; ++t)
            positions_[static_cast<size_t>(t)] =
                batch.positions ? batch.positions[t] : static_cast<int32_t>(before + t - batch.offsets[s]);
    }
    run.sample_keys = keys_.data();
    run.training = training;
    run.parameters = adapter_ ? adapter_->parameters() : nullptr;
    run.gradients = training ? block(SLM_BLOCK_GRADIENTS) : nullptr;
    run.dropout_seed = params_.dropout_seed;
    run.profile = &profile_;
    const KeptLayers kept = training ? kept_for(batch.n_tokens) : KeptLayers{Keep::NOTHING};
    Arena arena(work_.data(), work_.bytes());
    decoder_.lay_out(arena, batch.n_tokens, kept, training);
    return run;
}

void Context::run_losses(const slm_batch &batch, bool training, double *losses, int64_t *n_targets) {
    if (batch.targets == nullptr) fail(SLM_STATUS_INVALID_ARGUMENT, "the batch has no targets");
    const RunState run = prepare(batch, training);
    rows_.clear();
    row_targets_.clear();
    for (int64_t t = 0; t < batch.n_tokens; ++t)
        if (batch.targets[t] >= 0) {
            rows_.push_back(t);
            row_targets_.push_back(batch.targets[t]);
        }
    decoder_.forward(run, batch.tokens, positions_.data(), cancel_);
    decoder_.head(run, row_targets_.data(), rows_, training, row_losses_.data());
    size_t row = 0;
    for (int64_t s = 0; s < batch.n_sequences; ++s) {
        losses[s] = 0;
        n_targets[s] = 0;
        for (; row < rows_.size() && rows_[row] < batch.offsets[s + 1]; ++row, ++n_targets[s])
            losses[s] += row_losses_[row];
        if (!std::isfinite(losses[s]))
            fail(SLM_STATUS_NONFINITE,
                 "the loss of sequence %lld of the batch is not finite; look at its row and at the weights",
                 static_cast<long long>(s));
    }
    if (training) decoder_.backward(run, batch.tokens, positions_.data(), cancel_);
}

void Context::accumulate(const slm_batch &batch, double *losses, int64_t *n_targets) {
    if (!params_.training) fail(SLM_STATUS_INVALID_ARGUMENT, "this context was not made for training");
    run_losses(batch, true, losses, n_targets);
}

void Context::evaluate(const slm_batch &batch, double *losses, int64_t *n_targets) {
    run_losses(batch, false, losses, n_targets);
}

void Context::logits(const slm_batch &batch, const int64_t *rows, int64_t n_rows, float *out) {
    for (int64_t i = 0; i < n_rows; ++i) check_row(batch, rows[i]);
    const RunState run = prepare(batch, false);
    decoder_.forward(run, batch.tokens, positions_.data(), cancel_);
    decoder_.logits(run, rows, n_rows, out);
}

void Context::score(const slm_batch &batch, const int64_t *rows, const int32_t *targets, int64_t n, double *logprobs,
                    int32_t *tops) {
    const int32_t vocab = model_->config().n_vocab;
    for (int64_t i = 0; i < n; ++i) {
        check_row(batch, rows[i]);
        if (i > 0 && rows[i] < rows[i - 1])
            fail(SLM_STATUS_INVALID_ARGUMENT, "row %lld follows row %lld: expected rows to ascend",
                 static_cast<long long>(rows[i]), static_cast<long long>(rows[i - 1]));
        if (targets[i] < 0 || targets[i] >= vocab)
            fail(SLM_STATUS_INVALID_ARGUMENT, "target %d of row %lld is outside the vocabulary of %d", targets[i],
                 static_cast<long long>(rows[i]), vocab);
    }
    const RunState run = prepare(batch, false);
    decoder_.forward(run, batch.tokens, positions_.data(), cancel_);
    decoder_.score(run, rows, targets, n, logprobs, tops);
}

void Context::step(const slm_step_params &params, slm_step_result &out) {
    if (params.step < 1 || params.n_targets < 1)
        fail(SLM_STATUS_INVALID_ARGUMENT, "step %lld over %lld targets: both are counted from 1",
             static_cast<long long>(params.step), static_cast<long long>(params.n_targets));
    Backend &backend = model_->backend();
    const PhaseScope scope(&profile_, backend.bytes_moved(), SLM_PHASE_OPTIMIZER);
    float *gradients = block(SLM_BLOCK_GRADIENTS);
    const double mean = 1.0 / static_cast<double>(params.n_targets);
    const double norm = std::sqrt(backend.sum_squares(n_values(), gradients)) * mean;
    if (!std::isfinite(norm)) fail(SLM_STATUS_NONFINITE, "the gradient norm is not finite; nothing was applied");
    out.grad_norm = norm;
    out.clip = params.max_grad_norm > 0 ? std::min(1.0, params.max_grad_norm / (norm + 1e-6)) : 1.0;
    // Squares up to this keep AdamW's second moment, a mean of squares, finite in f32.
    if (norm * out.clip > 1e19)
        fail(SLM_STATUS_NONFINITE, "the gradient norm %g is too large for AdamW's second moment; nothing was applied",
             norm * out.clip);
    const float scale = static_cast<float>(mean * out.clip);
    for (const TrainableTensor &tensor : method().trainables()) {
        const bool decay = params.decay_norms || !tensor.norm_or_bias;
        const int64_t at = tensor.offset;
        backend.adamw(tensor.n_values(), scale, params, decay, gradients + at, block(SLM_BLOCK_MOMENT1) + at,
                      block(SLM_BLOCK_MOMENT2) + at, adapter_->parameters() + at);
    }
    backend.clear(n_values(), gradients);
}

void Context::get_profile(slm_profile &out) const {
    for (int phase = 0; phase < kPhases; ++phase) {
        out.nanoseconds[phase] = profile_.nanoseconds(phase);
        out.bytes[phase] = profile_.bytes(phase);
        out.calls[phase] = profile_.calls(phase);
    }
    out.n_events = profile_.n_events();
}

}  // namespace slm
