using Blanket.Abi.Xen;
using Blanket.Core.Domains;
using Blanket.Core.Processor;
using Blanket.Machine;

namespace Blanket.Core.Emulation;

/// <summary>
/// Privileged instructions that guests use as if they ran in ring 0. Those that are not listed here (HLT, INVLPG, LGDT, LMSW,
/// RDPMC, SWAPGS and others) are #GP, as on Xen.
/// </summary>
public static class PrivilegedInstruction
{
    private const byte XsetbvModRm = 0xd1;
    private const byte RdtscpModRm = 0xf9;

    /// <summary>Looks at an instruction of the running vCPU that raised #GP with error code 0.</summary>
    public static EmulationResult Emulate(Vcpu vcpu)
    {
        ref GuestRegisters registers = ref vcpu.State.Registers;
        CodeMode mode = CodeSegment.ModeOf(vcpu, registers.Cs);
        if (mode == CodeMode.Unsupported)
        {
            return EmulationResult.NotHandled;
        }

        InstructionBytes bytes = InstructionBytes.Fetch(registers.Rip);
        DecodeStatus status = InstructionDecoder.Decode(bytes, mode == CodeMode.Long64, out Instruction instruction);
        switch (status)
        {
            case DecodeStatus.Ok:
                return Execute(vcpu, instruction, mode);
            case DecodeStatus.Incomplete:
                return FetchFault.OfCode(vcpu, bytes);
            default:
                return EmulationResult.NotHandled;
        }
    }

    private static EmulationResult Execute(Vcpu vcpu, in Instruction instruction, CodeMode mode)
    {
        if (instruction.Map == OpcodeMap.Secondary)
        {
            return ExecuteSecondary(vcpu, instruction, mode);
        }

        // A LOCK prefix is #UD, which comes before #GP: this cannot be the instruction that faulted.
        if (instruction.Lock)
        {
            return EmulationResult.NotHandled;
        }

        if (PortInstruction.Contains(instruction.Opcode))
        {
            return PortInstruction.Execute(vcpu, instruction, mode);
        }

        // CLI and STI do nothing: a guest that means its event mask writes to it, and POPF could not be caught.
        bool isInterruptFlag = instruction.Opcode is 0xfa or 0xfb;
        return isInterruptFlag && PortAccess.HasPrivilege(vcpu)
            ? Retirement.Complete(vcpu, instruction.Length)
            : EmulationResult.NotHandled;
    }

    private static EmulationResult ExecuteSecondary(Vcpu vcpu, in Instruction instruction, CodeMode mode)
    {
        bool isKernel = vcpu.State.InKernel != 0;
        switch (instruction.Opcode)
        {
            case 0x31:
                return ReadTimeStamp(vcpu, instruction, withProcessor: false);
            case 0xa2:
                CpuidInstruction.Execute(vcpu, isForced: false);
                return Retirement.Complete(vcpu, instruction.Length);
            case 0x01 when IsForm(instruction, RdtscpModRm):
                return CpuidPolicy.Has(CpuFeature.Rdtscp)
                    ? ReadTimeStamp(vcpu, instruction, withProcessor: true)
                    : EmulationResult.InvalidOpcode;
            case 0x01 when isKernel && IsForm(instruction, XsetbvModRm):
                return SetExtendedControl(vcpu, instruction);
            case 0x06 when isKernel:
                vcpu.State.TaskSwitched = 0;
                return Retirement.Complete(vcpu, instruction.Length);
            case 0x09 when isKernel:
                // WBINVD: a guest without devices has no use for it, and it would cost its neighbours their caches.
                return Retirement.Complete(vcpu, instruction.Length);
            case >= 0x20 and <= 0x23 when isKernel:
                return MoveInstruction.Execute(vcpu, instruction, mode);
            case 0x30 when isKernel:
                return WriteMsr(vcpu, instruction);
            case 0x32 when isKernel:
                return ReadMsr(vcpu, instruction);
            default:
                return EmulationResult.NotHandled;
        }
    }

    private static bool IsForm(in Instruction instruction, byte modRm) =>
        !instruction.IsMemory && instruction.OpcodeExtension == ((modRm >> 3) & 7) && (instruction.RegisterOrMemory & 7) == (modRm & 7);

    private static EmulationResult ReadTimeStamp(Vcpu vcpu, in Instruction instruction, bool withProcessor)
    {
        if (vcpu.State.InKernel == 0 && (vcpu.GuestCr4 & ControlRegisters.TimeStampDisable) != 0)
        {
            return EmulationResult.NotHandled;
        }

        ref GuestRegisters registers = ref vcpu.State.Registers;
        ulong now = Cpu.ReadTsc();
        registers.Rax = (uint)now;
        registers.Rdx = now >> 32;
        registers.Rcx = withProcessor ? vcpu.TscAux : registers.Rcx;
        return Retirement.Complete(vcpu, instruction.Length);
    }

    private static EmulationResult SetExtendedControl(Vcpu vcpu, in Instruction instruction)
    {
        ref GuestRegisters registers = ref vcpu.State.Registers;
        if ((vcpu.GuestCr4 & ControlRegisters.OsXsave) == 0
            || instruction.OperandSizePrefix || instruction.Repeat || instruction.RepeatNotEqual)
        {
            return EmulationResult.InvalidOpcode;
        }

        ulong value = (uint)registers.Rax | (registers.Rdx << 32);
        return (uint)registers.Rcx == 0 && GuestXcr0.TrySet(vcpu, value)
            ? Retirement.Complete(vcpu, instruction.Length)
            : EmulationResult.GeneralProtection;
    }

    private static EmulationResult ReadMsr(Vcpu vcpu, in Instruction instruction)
    {
        ref GuestRegisters registers = ref vcpu.State.Registers;
        if (!MsrPolicy.TryRead(vcpu, (uint)registers.Rcx, out ulong value))
        {
            return EmulationResult.GeneralProtection;
        }

        registers.Rax = (uint)value;
        registers.Rdx = value >> 32;
        return Retirement.Complete(vcpu, instruction.Length);
    }

    private static EmulationResult WriteMsr(Vcpu vcpu, in Instruction instruction)
    {
        ref GuestRegisters registers = ref vcpu.State.Registers;
        ulong value = (uint)registers.Rax | (registers.Rdx << 32);
        return MsrPolicy.TryWrite(vcpu, (uint)registers.Rcx, value)
            ? Retirement.Complete(vcpu, instruction.Length)
            : EmulationResult.GeneralProtection;
    }
}
