using System.Collections.Generic;
using Blanket.Core.Domains;
using Blanket.Core.Memory;

namespace Blanket.Core.Tests.Memory;

public sealed class FrameOwnersTests
{
    /// <summary>Domains that come and go while another stays, through all ids: the table is as large as it was at boot.</summary>
    [Fact]
    public void TableDoesNotGrowWithTheIdsThatWereUsed()
    {
        FrameOwners.Initialize();
        int leaves = FrameOwners.Leaves;
        Domain stays = new(3, 1);
        FrameOwners.CreateEntry(stays);
        Queue<Domain> others = new();
        for (ushort id = 4; id < 0x7ff0; id++)
        {
            Domain domain = new(id, 1);
            FrameOwners.CreateEntry(domain);
            others.Enqueue(domain);
            if (others.Count > 2)
            {
                Domain gone = others.Dequeue();
                FrameOwners.Remove(gone);
                Assert.Null(FrameOwners.Find(gone.Id));
            }

            Assert.All(others, other => Assert.Same(other, FrameOwners.Find(other.Id)));
            Assert.Same(stays, FrameOwners.Find(stays.Id));
        }

        Assert.Equal(leaves, FrameOwners.Leaves);
    }
}
