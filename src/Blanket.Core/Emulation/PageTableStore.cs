using Blanket.Abi.Xen;
using Blanket.Core.Domains;
using Blanket.Core.Memory;
using Blanket.Machine;

namespace Blanket.Core.Emulation;

/// <summary>
/// Instructions with which a guest kernel writes straight to its page tables, which it maps read-only: MOV, XCHG, CMPXCHG, bit and
/// arithmetic operations, string stores. Each store is checked by <see cref="GuestPageTableWrites"/>.
/// </summary>
public static class PageTableStore
{
    private const uint FaultPresent = 1 << 0;
    private const uint FaultWrite = 1 << 1;
    private const uint FaultReserved = 1 << 3;
    private const uint FaultInstruction = 1 << 4;

    /// <summary>Looks at an instruction of the running vCPU that raised #PF.</summary>
    /// <param name="vcpu">The vCPU that runs on this CPU.</param>
    /// <param name="address">CR2.</param>
    /// <param name="errorCode">The fault's error code.</param>
    public static EmulationResult Emulate(Vcpu vcpu, ulong address, uint errorCode)
    {
        const uint Relevant = FaultPresent | FaultWrite | FaultReserved | FaultInstruction;
        if ((errorCode & Relevant) != (FaultPresent | FaultWrite)
            || vcpu.State.InKernel == 0
            || !vcpu.Domain.HasVmAssist(MmuVmAssist.WritablePageTables)
            || !GuestPageTableWrites.MayBePageTable(vcpu, address))
        {
            return EmulationResult.NotHandled;
        }

        InstructionBytes bytes = InstructionBytes.Fetch(vcpu.State.Registers.Rip);
        DecodeStatus status = InstructionDecoder.Decode(bytes, is64Bit: true, out Instruction instruction);
        return status switch
        {
            DecodeStatus.Ok => new StoreInstruction(vcpu, address, instruction).Execute(),
            DecodeStatus.Incomplete => FetchFault.OfCode(vcpu, bytes),
            _ => EmulationResult.NotHandled,
        };
    }
}
