using System;
using System.Buffers.Binary;
using System.Text;
using Blanket.Kernel.Platform;
using Blanket.Machine;

namespace Blanket.Kernel.Tests;

public class L0Tests
{
    private const uint HypervisorFeature = 1u << 31;

    /// <summary>Which of the interfaces that a hypervisor offers is used, and that its leaves are counted from where it is.</summary>
    [Theory]
    [InlineData(new[] { "XenVMMXenVMM" }, L0Kind.Xen, 0x40000000u)]
    [InlineData(new[] { "Microsoft Hv", "XenVMMXenVMM" }, L0Kind.Xen, 0x40000100u)]
    [InlineData(new[] { "Microsoft Hv", "", "XenVMMXenVMM" }, L0Kind.Xen, 0x40000200u)]
    [InlineData(new[] { "SomebodyElse", "XenVMMXenVMM" }, L0Kind.Xen, 0x40000100u)]
    [InlineData(new[] { "Microsoft Hv", "KVMKVMKVM\0\0\0" }, L0Kind.Kvm, 0x40000100u)]
    [InlineData(new[] { "Microsoft Hv" }, L0Kind.HyperV, 0x40000000u)]
    [InlineData(new[] { "SomebodyElse" }, L0Kind.None, 0u)]
    public void TheBestInterfaceIsUsed(string[] signatures, L0Kind kind, uint baseLeaf)
    {
        SimulatedCpuid.Leaves = new() { [1] = (0, 0, HypervisorFeature, 0) };
        for (uint i = 0; i < signatures.Length; i++)
        {
            byte[] bytes = Encoding.ASCII.GetBytes(signatures[i].PadRight(12, '\0'));
            SimulatedCpuid.Leaves[0x40000000 + i * 0x100] = (
                0x40000002 + i * 0x100, BitConverter.ToUInt32(bytes), BitConverter.ToUInt32(bytes, 4), BitConverter.ToUInt32(bytes, 8));
        }

        try
        {
            CpuFeatures.Detect();
            L0.Detect();
            Assert.Equal((kind, baseLeaf), (L0.Kind, L0.BaseLeaf));
        }
        finally
        {
            SimulatedCpuid.Leaves = null;
            CpuFeatures.Detect();
            L0.Detect();
        }
    }

    [Theory]
    [InlineData("KVMKVMKVM\0\0\0", L0Kind.Kvm)]
    [InlineData("XenVMMXenVMM", L0Kind.Xen)]
    [InlineData("Microsoft Hv", L0Kind.HyperV)]
    [InlineData("VMwareVMware", L0Kind.VMware)]
    [InlineData("TCGTCGTCGTCG", L0Kind.Tcg)]
    [InlineData("GenuineIntel", L0Kind.None)]
    [InlineData("\0\0\0\0\0\0\0\0\0\0\0\0", L0Kind.None)]
    public void SignaturesAreRecognized(string signature, L0Kind expected)
    {
        byte[] bytes = Encoding.ASCII.GetBytes(signature);
        bool found = L0.TryRecognize(
            BinaryPrimitives.ReadUInt32LittleEndian(bytes),
            BinaryPrimitives.ReadUInt32LittleEndian(bytes.AsSpan(4)),
            BinaryPrimitives.ReadUInt32LittleEndian(bytes.AsSpan(8)),
            out L0Kind kind);
        Assert.Equal(expected != L0Kind.None, found);
        Assert.Equal(expected, kind);
    }
}
