using Blanket.Core.Scheduling;
using Blanket.Machine;

namespace Blanket.Core.Domains;

/// <summary>What the log says of a guest's registers when it crashes.</summary>
public static class CrashReport
{
    /// <summary>Logs the registers of the vCPU that runs on this CPU, if it is the domain's.</summary>
    public static void Write(Domain domain)
    {
        Vcpu? vcpu = Scheduler.Current;
        if (vcpu == null || vcpu.Domain != domain)
        {
            return;
        }

        ref VcpuState state = ref vcpu.State;
        ref GuestRegisters r = ref state.Registers;
        Log.Line("  vcpu "u8).Decimal((ulong)(uint)vcpu.Id).Text(state.InKernel != 0 ? " in its kernel"u8 : " in user mode"u8)
            .Text(", vector "u8).Hex(r.EntryVector).Text(" error "u8).Hex(r.ErrorCode).Text(" cr2 "u8).Hex(state.Cr2).End();
        Log.Line("  rip "u8).Hex(r.Rip).Text(" cs "u8).Hex(r.Cs).Text(" rflags "u8).Hex(r.Rflags)
            .Text(" rsp "u8).Hex(r.Rsp).Text(" ss "u8).Hex(r.Ss).End();
        Log.Line("  rax "u8).Hex(r.Rax).Text(" rbx "u8).Hex(r.Rbx).Text(" rcx "u8).Hex(r.Rcx).Text(" rdx "u8).Hex(r.Rdx)
            .Text(" rsi "u8).Hex(r.Rsi).Text(" rdi "u8).Hex(r.Rdi).End();
        Log.Line("  rbp "u8).Hex(r.Rbp).Text(" r8 "u8).Hex(r.R8).Text(" r9 "u8).Hex(r.R9).Text(" r10 "u8).Hex(r.R10)
            .Text(" r11 "u8).Hex(r.R11).Text(" r12 "u8).Hex(r.R12).End();
        Log.Line("  r13 "u8).Hex(r.R13).Text(" r14 "u8).Hex(r.R14).Text(" r15 "u8).Hex(r.R15)
            .Text(" cr3 "u8).Hex(state.InKernel != 0 ? state.KernelCr3 : state.UserCr3).End();
    }
}
