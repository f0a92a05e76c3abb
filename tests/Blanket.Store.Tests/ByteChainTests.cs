using System;
using System.Collections.Generic;
using System.Linq;
using Blanket.Machine;
using FsCheck;
using FsCheck.Fluent;
using FsCheck.Xunit;

namespace Blanket.Store.Tests;

public class ByteChainTests
{
    [Property]
    public Property ChainsBehaveLikeLists() => Prop.ForAll(Gen.Choose(0, int.MaxValue).ToArbitrary(), Play);

    [Fact]
    public void ExhaustionChangesNothing()
    {
        FrameTable.Simulate(64);
        ByteChains chains = new(3);
        Assert.True(chains.TryCreate(new byte[100], out Chain chain));
        Assert.Equal(2, chains.Count);
        Assert.False(chains.TryCreate(new byte[61], out Chain other));
        Assert.Equal(0, other.Length);
        Assert.Equal(2, chains.Count);
        Assert.False(chains.TryAppend(ref chain, new byte[81]));
        Assert.Equal(100, chain.Length);
        Assert.False(chains.TryCopy(chain, out other));
        Assert.Equal(2, chains.Count);
        Assert.True(chains.TryAppend(ref chain, new byte[80]));
        Assert.Equal(180, chain.Length);
        chains.Free(ref chain);
        Assert.Equal(0, chains.Count);
    }

    private static bool Play(int seed)
    {
        FrameTable.Simulate(256);
        Random random = new(seed);
        ByteChains chains = new(1000);
        List<byte> list = [];
        Chain chain = Chain.Empty;
        for (int i = 0; i < 50; i++)
        {
            if (random.Next(3) == 0 && list.Count > 0)
            {
                int offset = random.Next(list.Count);
                int count = random.Next(list.Count - offset + 1);
                list.RemoveRange(offset, count);
                chains.RemoveRange(ref chain, offset, count);
            }
            else
            {
                byte[] bytes = new byte[random.Next(130)];
                random.NextBytes(bytes);
                bytes.AsSpan().Replace((byte)0, (byte)(random.Next(4) == 0 ? 0 : 1));
                list.AddRange(bytes);
                Assert.True(chains.TryAppend(ref chain, bytes));
            }

            Check(chains, chain, list, random);
        }

        chains.Free(ref chain);
        return chains.Count == 0 && chain.Length == 0;
    }

    private static void Check(ByteChains chains, Chain chain, List<byte> list, Random random)
    {
        byte[] expected = [.. list];
        Assert.Equal(expected.Length, chain.Length);
        Assert.True(chains.AreEqual(chain, expected));
        Assert.Equal(ByteChains.Footprint(expected.Length), chains.Count * Chunk.Footprint);
        int offset = random.Next(expected.Length + 1);
        byte[] window = new byte[random.Next(200)];
        int read = chains.Read(chain, offset, window);
        Assert.Equal(expected.Skip(offset).Take(window.Length), window.Take(read));
        Assert.Equal(Math.Min(window.Length, expected.Length - offset), read);
        Assert.Equal(expected.Skip(offset).TakeWhile(b => b != 0).Count(), chains.StringLength(chain, offset));

        Assert.True(chains.TryCopy(chain, out Chain copy));
        Assert.True(chains.AreEqual(chain, copy));
        if (expected.Length > 0)
        {
            expected[random.Next(expected.Length)] ^= 0x80;
            Assert.False(chains.AreEqual(chain, expected));
            chains.RemoveRange(ref copy, copy.Length - 1, 1);
            Assert.False(chains.AreEqual(chain, copy));
        }

        chains.Free(ref copy);
    }
}
