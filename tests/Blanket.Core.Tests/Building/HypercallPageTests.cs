using System.Collections.Generic;
using Blanket.Core.Building;
using Iced.Intel;

namespace Blanket.Core.Tests.Building;

public class HypercallPageTests
{
    private static readonly Mnemonic[] s_stub =
        [Mnemonic.Push, Mnemonic.Push, Mnemonic.Mov, Mnemonic.Syscall, Mnemonic.Pop, Mnemonic.Pop, Mnemonic.Ret];

    private static readonly Mnemonic[] s_iretStub =
        [Mnemonic.Push, Mnemonic.Push, Mnemonic.Push, Mnemonic.Mov, Mnemonic.Syscall];

    [Fact]
    public void EveryStubMakesItsHypercall()
    {
        byte[] page = new byte[4096];
        HypercallPage.Write(page);
        for (int i = 0; i < HypercallPage.StubCount; i++)
        {
            byte[] stub = page[(i * HypercallPage.StubSize)..((i + 1) * HypercallPage.StubSize)];
            Decoder decoder = Decoder.Create(64, stub);
            List<Mnemonic> seen = [];
            ulong number = ulong.MaxValue;
            Mnemonic[] expected = i == 23 ? s_iretStub : s_stub;
            while (seen.Count < expected.Length)
            {
                Instruction instruction = decoder.Decode();
                seen.Add(instruction.Mnemonic);
                number = instruction.Mnemonic == Mnemonic.Mov ? instruction.GetImmediate(1) : number;
            }

            Assert.Equal(expected, seen);
            Assert.Equal((ulong)i, number);
            Assert.Equal(Mnemonic.Int3, decoder.Decode().Mnemonic);
        }
    }
}
