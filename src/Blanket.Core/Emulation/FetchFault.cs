using Blanket.Core.Domains;
using Blanket.Machine;

namespace Blanket.Core.Emulation;

/// <summary>Page faults of the emulator's own accesses, with the error code that the CPU would give (Intel SDM vol. 3, 4.7).</summary>
internal static class FetchFault
{
    private const uint Write = 1 << 1;
    private const uint User = 1 << 2;
    private const uint InstructionFetch = 1 << 4;

    /// <summary>The instruction goes on on a page that cannot be read.</summary>
    internal static EmulationResult OfCode(Vcpu vcpu, in InstructionBytes bytes) =>
        EmulationResult.PageFault(unchecked(vcpu.State.Registers.Rip + (uint)bytes.Count), InstructionFetch | Mode(vcpu));

    /// <summary>An operand that cannot be read.</summary>
    internal static EmulationResult OfRead(Vcpu vcpu, ulong address, int size) =>
        EmulationResult.PageFault(FirstBad(address, size), Mode(vcpu));

    /// <summary>An operand that cannot be written.</summary>
    internal static EmulationResult OfWrite(Vcpu vcpu, ulong address, int size) =>
        EmulationResult.PageFault(FirstBad(address, size), Write | Mode(vcpu));

    // An operand across two pages: the one that faults is the first unless that one is there.
    private static ulong FirstBad(ulong address, int size)
    {
        ulong secondPage = unchecked(address + (uint)(size - 1)) & ~(ulong)(Cpu.PageSize - 1);
        bool crosses = (address & ~(ulong)(Cpu.PageSize - 1)) != secondPage;
        return crosses && GuestMemory.TryRead(address, out byte _) ? secondPage : address;
    }

    private static uint Mode(Vcpu vcpu) => vcpu.State.InKernel != 0 ? 0 : User;
}
