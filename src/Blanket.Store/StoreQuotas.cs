using Blanket.Abi;

namespace Blanket.Store;

/// <summary>
/// What one unprivileged domain may use; privileged domains are exempt. The defaults are C xenstored's.
/// A privileged client changes them at run time by CONTROL "quota set" with the names given here.
/// </summary>
public sealed class StoreQuotas
{
    /// <summary>"nodes": nodes that the domain owns.</summary>
    public int Nodes { get; set; } = 1000;

    /// <summary>"watches": watches set up.</summary>
    public int Watches { get; set; } = 128;

    /// <summary>"transactions": transactions open at a time.</summary>
    public int Transactions { get; set; } = 10;

    /// <summary>"outstanding": requests whose reply or watch events have not been taken; at the limit no more are read.</summary>
    public int Outstanding { get; set; } = 20;

    /// <summary>"transaction-nodes": nodes that one transaction looks at or changes.</summary>
    public int TransactionNodes { get; set; } = 1024;

    /// <summary>"memory": bytes of nodes, transactions, watches and waiting events together.</summary>
    public int Memory { get; set; } = 2560 * 1024;

    /// <summary>"node-size": bytes of a node's header (24), permissions (8 each), value and children's names (with terminator) together.</summary>
    public int NodeSize { get; set; } = 2048;

    /// <summary>"path-max": bytes of a path, a leading /local/domain/N/ not counted; at most 2,048.</summary>
    public int PathLength { get; set; } = XenStoreWire.RelativePathMax;

    /// <summary>"permissions": entries of a node's permissions.</summary>
    public int Permissions { get; set; } = 5;
}
