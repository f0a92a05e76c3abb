namespace Blanket.Core.Processor;

/// <summary>The four registers that CPUID returns.</summary>
public struct CpuidLeaf
{
    public uint Eax;
    public uint Ebx;
    public uint Ecx;
    public uint Edx;
}
