using System;
using Blanket.Core.Emulation;

namespace Blanket.Core.Tests.Emulation;

public class ForcedEmulationTests
{
    private static readonly byte[] s_sequence = [0x0f, 0x0b, 0x78, 0x65, 0x6e, 0x0f, 0xa2];
    private readonly EmulationGuest _guest = new();

    [Fact]
    public void CpuidIsAnsweredFromThePolicy()
    {
        _guest.SetCode(s_sequence);
        _guest.Registers.Rax = 0xffffffff_40000000;
        _guest.Registers.Rcx = 0xffffffff_00000000;
        Assert.Equal(EmulationKind.Done, ForcedEmulation.Emulate(_guest.Vcpu).Kind);
        Assert.Equal(EmulationGuest.Code + 7, _guest.Registers.Rip);
        Assert.Equal(0x40000005UL, _guest.Registers.Rax);
        Assert.Equal(0x566e6558UL, _guest.Registers.Rbx);
        Assert.Equal(0x65584d4dUL, _guest.Registers.Rcx);
        Assert.Equal(0x4d4d566eUL, _guest.Registers.Rdx);
    }

    [Fact]
    public void EveryOtherUndefinedInstructionIsTheGuests()
    {
        for (int i = 0; i < s_sequence.Length; i++)
        {
            byte[] code = [.. s_sequence];
            code[i] ^= 1;
            _guest.SetCode(code);
            Assert.Equal(EmulationKind.NotHandled, ForcedEmulation.Emulate(_guest.Vcpu).Kind);
            Assert.Equal(EmulationGuest.Code, _guest.Registers.Rip);
        }
    }

    [Fact]
    public void SequenceAcrossAMissingPageFaultsThere()
    {
        ulong end = EmulationGuest.Code + NativeCpu.MemorySize;
        for (int present = 2; present < s_sequence.Length; present++)
        {
            s_sequence.AsSpan(0, present).CopyTo(_guest.Memory[^present..]);
            _guest.Registers.Rip = end - (ulong)present;
            EmulationResult result = ForcedEmulation.Emulate(_guest.Vcpu);
            Assert.Equal(EmulationKind.InjectPageFault, result.Kind);
            Assert.Equal(end, result.Address);
        }
    }
}
