using System;
using System.Buffers.Binary;
using System.Text;
using Blanket.Kernel.Platform;

namespace Blanket.Kernel.Tests;

public class L0Tests
{
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
