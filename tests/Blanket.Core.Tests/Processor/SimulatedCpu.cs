using System.Collections.Generic;
using Blanket.Core.Processor;

namespace Blanket.Core.Tests.Processor;

/// <summary>A described CPU: a Skylake-server-like one of Intel's unless a test changes it.</summary>
internal sealed class SimulatedCpu : CpuidSource
{
    private readonly Dictionary<(uint Leaf, uint Subleaf), CpuidLeaf> _leaves = [];

    public SimulatedCpu()
    {
        SetVendor("GenuineIntel", 0x16, 0x80000008);
        Set(1, 0, 0x00050654, 0x07100800, 0x7ffefbff, 0xbfebfbff);
        Set(2, 0, 0x76036301, 0x00f0b5ff, 0, 0x00c30000);
        Set(4, 0, 0x3c004121, 0x01c0003f, 0x3f, 0);
        Set(4, 1, 0x3c004122, 0x01c0003f, 0x3f, 0);
        Set(4, 2, 0x3c004143, 0x03c0003f, 0x3ff, 0);
        Set(4, 3, 0x3c07c163, 0x0280003f, 0x9fff, 4);
        Set(5, 0, 0x40, 0x40, 3, 0x2020);
        Set(7, 0, 0, 0xd39ffffb, 0x00000008, 0xbc000400);
        Set(0xa, 0, 0x07300404, 0, 0, 0x603);
        Set(0xb, 0, 1, 2, 0x100, 7);
        Set(0xd, 0, 0x2ff, 0xa88, 0xa88, 0);
        Set(0xd, 1, 0xf, 0xa08, 0x100, 0);
        Set(0xd, 2, 0x100, 0x240, 0, 0);
        Set(0xd, 3, 0x40, 0x3c0, 0, 0);
        Set(0xd, 4, 0x40, 0x400, 0, 0);
        Set(0xd, 5, 0x40, 0x440, 0, 0);
        Set(0xd, 6, 0x200, 0x480, 0, 0);
        Set(0xd, 7, 0x400, 0x680, 0, 0);
        Set(0xd, 9, 8, 0xa80, 0, 0);
        Set(0x80000001, 0, 0, 0, 0x121, 0x2c100800);
        Set(0x80000007, 0, 0, 0, 0, 0x100);
        Set(0x80000008, 0, 0x302e, 0, 0, 0);
    }

    public ulong ArchCapabilities { get; set; } = 0x2b;

    /// <summary>The same feature words with AMD's name and leaves.</summary>
    public static SimulatedCpu Amd()
    {
        SimulatedCpu cpu = new();
        cpu.SetVendor("AuthenticAMD", 0xd, 0x80000020);
        cpu.Set(0x80000001, 0, 0x00830f10, 0x40000000, 0x75c237ff, 0x2fd3fbff);
        cpu.Set(0x80000008, 0, 0x3030, 0x111ef257, 0x0000707f, 0x00010000);
        cpu.Set(0x8000000a, 0, 1, 0x8000, 0, 0x0013bcff);
        cpu.Set(0x80000019, 0, 0xf040f040, 0xf0400000, 0, 0);
        cpu.Set(0x8000001a, 0, 6, 0, 0, 0);
        cpu.Set(0x8000001e, 0, 1, 0x100, 0, 0);
        return cpu;
    }

    public void SetVendor(string name, uint basic, uint extended)
    {
        uint Word(int at) => name[at] | (uint)name[at + 1] << 8 | (uint)name[at + 2] << 16 | (uint)name[at + 3] << 24;
        Set(0, 0, basic, Word(0), Word(8), Word(4));
        Set(0x80000000, 0, extended, 0, 0, 0);
    }

    public void Set(uint leaf, uint subleaf, uint eax, uint ebx, uint ecx, uint edx) =>
        _leaves[(leaf, subleaf)] = new CpuidLeaf { Eax = eax, Ebx = ebx, Ecx = ecx, Edx = edx };

    public override CpuidLeaf Read(uint leaf, uint subleaf) =>
        _leaves.TryGetValue((leaf, subleaf), out CpuidLeaf value) ? value : default;

    public override ulong ReadArchCapabilities() => ArchCapabilities;
}
