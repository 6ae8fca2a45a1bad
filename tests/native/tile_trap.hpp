// Runs machine code with AMX instructions on a processor that has none: each of them raises SIGILL, is decoded, and is
// carried out on the thread's own model of the tiles.
#pragma once

#if defined(__x86_64__) && defined(__linux__)

#include <signal.h>
#include <ucontext.h>
#include <unistd.h>

#include <atomic>

#include "tile_model.hpp"

namespace slm_test {

/// What the thread has run since it began.
struct TrappedTiles {
    TileModel model;
    int64_t executed = 0;
    bool configured = false;
};
inline thread_local TrappedTiles trapped_tiles;

class TileTrap {
 public:
    TileTrap() {
        struct sigaction action = {};
        action.sa_sigaction = on_illegal;
        action.sa_flags = SA_SIGINFO;
        sigemptyset(&action.sa_mask);
        sigaction(SIGILL, &action, &before_);
    }
    ~TileTrap() { sigaction(SIGILL, &before_, nullptr); }
    TileTrap(const TileTrap &) = delete;
    TileTrap &operator=(const TileTrap &) = delete;

 private:
    static int64_t general(const ucontext_t *at, int number) {
        static constexpr int order[16] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
                                          REG_R8,  REG_R9,  REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15};
        return at->uc_mcontext.gregs[order[number]];
    }

    /// The three bytes of a VEX prefix, opcode and operands.
    struct Instruction {
        int prefix, opcode, mode, reg, rm, vvvv;  ///< prefix 0: none, 1: 66, 2: F3, 3: F2
        int64_t address = 0, stride = 0, length = 0;
    };

    static bool decode(const ucontext_t *at, Instruction &out) {
        const uint8_t *code = reinterpret_cast<const uint8_t *>(at->uc_mcontext.gregs[REG_RIP]);
        if (code[0] != 0xC4 || (code[1] & 0x1F) != 2 || (code[2] & 0x84) != 0) return false;  // map 0F38, W0, L0
        const bool x = !(code[1] & 0x40), b = !(code[1] & 0x20);
        out.prefix = code[2] & 3;
        out.vvvv = ~code[2] >> 3 & 15;
        out.opcode = code[3];
        out.mode = code[4] >> 6;
        out.reg = code[4] >> 3 & 7;
        out.rm = code[4] & 7;
        const uint8_t *rest = code + 5;
        if (out.mode != 3) {
            int base = out.rm + 8 * b;
            if (out.rm == 4) {
                const int index = (*rest >> 3 & 7) + 8 * x;
                base = (*rest & 7) + 8 * b;
                if (index != 4) out.stride = general(at, index) * (1 << (*rest >> 6));
                ++rest;
            }
            if (out.mode == 0 && base % 8 == 5) {
                int32_t offset;
                std::memcpy(&offset, rest, sizeof offset);
                rest += 4;
                if (out.rm == 4) return false;
                out.address = reinterpret_cast<int64_t>(rest) + offset;
            } else {
                out.address = general(at, base);
            }
            if (out.mode == 1) out.address += static_cast<int8_t>(*rest++);
            if (out.mode == 2) {
                int32_t offset;
                std::memcpy(&offset, rest, sizeof offset);
                rest += 4;
                out.address += offset;
            }
        }
        out.length = rest - code;
        return true;
    }

    static bool run(const Instruction &i, TrappedTiles &tiles) {
        void *const memory = reinterpret_cast<void *>(i.address);
        const bool in_memory = i.mode != 3;
        switch (i.opcode << 4 | i.prefix) {
            case 0x490:
                tiles.configured = in_memory;
                return in_memory ? tiles.model.load_config(memory) : tiles.model.release();
            case 0x493:
                return !in_memory && tiles.model.clear(i.reg);
            case 0x4B3:
                return in_memory && i.rm == 4 && tiles.model.load(i.reg, memory, i.stride);
            case 0x4B2:
                return in_memory && i.rm == 4 && tiles.model.store(i.reg, memory, i.stride);
            case 0x5C2:
                return !in_memory && tiles.model.multiply(i.reg, i.rm, i.vvvv);
        }
        return false;
    }

    static void on_illegal(int number, siginfo_t *, void *context) {
        ucontext_t *const at = static_cast<ucontext_t *>(context);
        Instruction instruction;
        if (decode(at, instruction) && run(instruction, trapped_tiles)) {
            ++trapped_tiles.executed;
            at->uc_mcontext.gregs[REG_RIP] += instruction.length;
            return;
        }
        // Not ours, or one that the processor would refuse: the test program ends as it would have.
        static constexpr char text[] = "an illegal instruction that is no valid one of AMX\n";
        if (write(STDERR_FILENO, text, sizeof text - 1) < 0) _exit(9);
        signal(number, SIG_DFL);
    }

    struct sigaction before_ = {};
};

}  // namespace slm_test

#endif
