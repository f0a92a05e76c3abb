#if METAL
namespace Blanket.Machine;

/// <summary>This CPU's block, for the unsafe assemblies above the floor.</summary>
public static unsafe class CpuBlockAccess
{
    /// <summary>This CPU's block.</summary>
    public static CpuBlock* Current => Cpu.CurrentBlock();

    /// <summary>Start of this CPU's region.</summary>
    public static ulong Region => (ulong)Cpu.CurrentBlock() - AddressSpace.CpuBlockOffset;
}
#endif
