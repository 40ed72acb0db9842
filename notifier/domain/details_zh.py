"""Why something failed, in Chinese: see `details`. A test finds what we say and this table does not know."""
# ruff: noqa: RUF001 - Chinese has punctuation of its own

from notifier.domain.phrases import DetailPhrases

_STEP = r"(?P<step>on connecting|on STARTTLS|on logging in|for the sender|for the recipient|for the message)"

_OF_HTTP = {
    r"HTTP \d+(?: [\w.]+)?": "{all}",
    r"(?P<status>HTTP \d+(?: [\w.]+)?): a page of HTML": "{status}，应答为 HTML 页面",
    r"(?P<status>HTTP \d+), redirects to (?P<host>[^\s:]+(?::\d+)?)": "{status}，重定向到 {host}",
    r"(?P<status>HTTP \d+), redirects to (?P<host>[^\s:]+(?::\d+)?): (?P<answer>.+)": (
        "{status}，重定向到 {host}，对方应答：“{answer}”"
    ),
    r"(?P<status>HTTP \d+) redirects to (?P<host>\S+); redirects are not followed": "{status}，重定向到 {host}，不予跟随",
    r"(?P<inner>.+); the list needs the permission (?P<name>\S+)": "{inner}；查询集群列表需要权限 {name}",
    r"(?P<status>HTTP \d+(?: [\w.]+)?): (?P<answer>.+)": "{status}，对方应答：“{answer}”",
    r"HTTP 200, but (?P<inner>.+)": "HTTP 200，但应答不符合约定：{inner}",
    "an empty body": "应答内容为空",
    "HTML or XML, not JSON": "应答是 HTML 或 XML，而不是 JSON",
    r"neither (?P<field>\w+) nor (?P<other>\w+) in the answer": "应答中既没有 {field} 也没有 {other}",
    r"neither (?P<field>\w+) in the answer": "应答中没有 {field}",
    r"more than (?P<count>\d+) objects in the answer": "应答中的对象超过 {count} 个",
    r"the answer is larger than (?P<count>\d+) bytes": "应答超过 {count} 字节",
    r"our clock is (?P<minutes>\d+) min ahead of the API's, set it right; (?P<inner>.+)": (
        "本机时钟比 API 快 {minutes} 分钟，请校准；{inner}"
    ),
    r"our clock is (?P<minutes>\d+) min behind the API's, set it right; (?P<inner>.+)": (
        "本机时钟比 API 慢 {minutes} 分钟，请校准；{inner}"
    ),
}

_ON_THE_WAY = {
    "silences: no answer in time": "设置静默时未及时收到应答",
    "no complete answer in time": "未及时收到完整应答",
    r"no (?:complete )?answer within (?P<seconds>[\d.]+) s": "{seconds}内未收到完整应答",
    r"the list of clusters took longer than (?P<seconds>[\d.]+) s": "查询集群列表超过 {seconds}",
    r"the pages of the list took longer than (?P<seconds>[\d.]+) s": "查询任务列表超过 {seconds}",
    r"the certificate of the mail server is not trusted: (?P<answer>.+)": "邮件服务器的证书不可信：“{answer}”",
    r"the certificate of (?P<host>\S+) is not trusted: (?P<answer>.+)": "{host} 的证书不可信：“{answer}”",
    r"no TLS connection to (?P<host>\S+): (?P<answer>.+)": "无法与 {host} 建立 TLS 连接：“{answer}”",
    r"no TLS connection: (?P<answer>.+)": "无法建立 TLS 连接：“{answer}”",
    r"host (?P<host>\S+) cannot be resolved": "无法解析主机名 {host}",
    r"the proxy does not let us through: (?P<status>HTTP \d+)": "代理拒绝连接：{status}",
    r"no connection to the proxy: (?P<inner>.+)": "无法连接代理：{inner}",
    r"no connection to (?P<host>\S+): (?P<inner>.+)": "无法连接 {host}：{inner}",
    "the connection was closed before an answer came": "连接在应答之前被关闭",
    "the connection was closed": "连接被关闭",
    "the answer broke off": "应答中断",
    "the answer is no HTTP": "应答不是 HTTP",
    "the address is no URL": "地址不是有效的 URL",
    r"address (?P<host>\S+) is refused: it is a cloud's metadata service": "禁止访问地址 {host}：云元数据服务",
    r"address (?P<host>\S+) is refused: (?P<net>\S+) is denied": "禁止访问地址 {host}：属于禁止访问的网段 {net}",
    "connection refused": "连接被拒绝",
    "connection reset by peer": "连接被对方重置",
    "connection timed out": "连接超时",
    "network is unreachable": "网络不可达",
    "no route to host": "没有到主机的路由",
    "broken pipe": "管道已断开",
    "no space left on device": "磁盘空间不足",
    "cannot assign requested address": "无法分配所请求的地址",
    "too many open files": "打开的文件过多",
    "permission denied": "没有权限",
    r"(?P<stream>stdout|stderr) cannot be written to: it is closed": "无法写入 {stream}：已关闭",
    r"(?P<stream>stdout|stderr) cannot be written to: (?P<answer>.+)": "无法写入 {stream}：“{answer}”",
}

_OF_MAIL = {
    r"(?P<inner>.+), (?P<count>\d+) times: it may well have arrived, and is not sent again": (
        "{inner}（共 {count} 次）；邮件很可能已送达，不再重发"
    ),
    r"(?P<inner>.+): it may well have arrived, and is not sent again": "{inner}；邮件很可能已送达，不再重发",
    "no answer after the message was sent": "邮件内容发出后未收到应答",
    rf"no answer in time \({_STEP}\)": "{step}未及时收到应答",
    rf"the connection was closed \({_STEP}\)": "{step}连接被关闭",
    rf"an answer that is no SMTP \({_STEP}\)": "{step}收到的应答不是 SMTP",
    rf"(?P<answer>\d{{3}}(?: .*)?) \({_STEP}\)": "{step}对方应答：“{answer}”",
    rf"(?P<inner>.+) \({_STEP}\)": "{step}出错：{inner}",
    "the mail server's name cannot be resolved": "无法解析邮件服务器的主机名",
    "the server offers no STARTTLS, and nothing is sent in clear": "服务器不支持 STARTTLS，而邮件不会以明文发送",
    "the server offers no login that we can use; leave out username and password if it needs none": (
        "服务器没有提供可用的登录方式；如无需登录，请从配置中去掉用户名和密码"
    ),
    r"could not be made a mail: (?P<name>\w+)": "无法生成邮件（{name}）",
    r"refused for (?P<listed>.+) and (?P<more>\d+) more; (?P<have>\d+) of the recipients have it": (
        "收件人被拒绝（括号内为对方应答）：{listed}，另有 {more} 位；{have} 位收件人已收到"
    ),
    r"refused for (?P<listed>.+); (?P<have>\d+) of the recipients have it": (
        "收件人被拒绝（括号内为对方应答）：{listed}；{have} 位收件人已收到"
    ),
    r"put off and given up for (?P<listed>.+) and (?P<more>\d+) more; (?P<have>\d+) of the recipients have it": (
        "收件人一直未被接收，已放弃（括号内为对方应答）：{listed}，另有 {more} 位；{have} 位收件人已收到"
    ),
    r"put off and given up for (?P<listed>.+); (?P<have>\d+) of the recipients have it": (
        "收件人一直未被接收，已放弃（括号内为对方应答）：{listed}；{have} 位收件人已收到"
    ),
    r"not accepted yet for (?P<listed>.+) and (?P<more>\d+) more; (?P<have>\d+) of the recipients have it": (
        "收件人暂未被接收（括号内为对方应答）：{listed}，另有 {more} 位；{have} 位收件人已收到"
    ),
    r"not accepted yet for (?P<listed>.+); (?P<have>\d+) of the recipients have it": (
        "收件人暂未被接收（括号内为对方应答）：{listed}；{have} 位收件人已收到"
    ),
}

_OF_SLACK = {
    r"(?P<method>[a-z]+(?:\.\w+)+): an answer without .+": "{method} 的应答不完整",
    r"(?P<method>[a-z]+(?:\.\w+)+): (?P<status>HTTP \d+)": "{method}：{status}",
    r"(?P<method>[a-z]+(?:\.\w+)+): (?P<answer>\w+), needs (?P<scope>\S+)": ("{method}，对方应答：“{answer}”，需要权限 {scope}"),
    r"(?P<method>[a-z]+(?:\.\w+)+): (?P<answer>\w+)": "{method}，对方应答：“{answer}”",
    r"others post to this channel for the next (?P<seconds>\d+) s": "接下来 {seconds}内，该频道由其他发送方占用",
    "the message to be answered was deleted": "要回复的消息已被删除",
    "Socket Mode is switched off in the app's settings": "应用设置中已关闭 Socket Mode",
    r"no 'ok': (?P<inner>.+)": "应答不是“ok”：{inner}",
}

_OF_APPRISE = {
    r"(?P<count>\d+) earlier calls to (?P<name>.+) still hang": "此前对 {name} 的 {count} 次调用仍未返回",
    r"no answer of (?P<name>.+) in time": "未及时收到 {name} 的应答",
    r"Apprise says only that (?P<name>.+) failed: nothing, or a part, may have arrived": (
        "Apprise 只报告 {name} 失败：消息可能未送达，也可能部分送达"
    ),
}

_OF_OURS = {
    r"not accepted within (?P<seconds>\d+) s": "{seconds}内未被接收",
    r"could not be put into words: (?P<name>\w+)": "无法生成消息文本（{name}）",
    "too much of the lease was over to send it": "剩余租期不足，未发送",
    "stopped before the answer came": "收到应答之前程序已停止",
    r"the sink raised (?P<name>\w+)": "渠道程序抛出 {name}",
    r"the sink raised a DeliveryError .+": "渠道程序抛出的 DeliveryError 内容无效",
    "the sink gave back no receipt": "渠道程序没有返回回执",
    r"the sink gave back a receipt .+": "渠道程序返回的回执无效",
    "the sink came to no end": "渠道程序未能结束",
    r"the sink cannot be opened: (?P<inner>.+)": "渠道无法启动：{inner}",
    r"it took longer than (?P<seconds>[\d.]+) s": "耗时超过 {seconds}",
    "the sink is no longer in the configuration": "渠道已从配置中删除",
    "it is over, or nobody asks for it any more": "情况已结束，或已不再需要提醒",
    "it is over": "情况已结束",
    "somebody acknowledged it": "已有人确认",
    "taken care of": "正在处理",
    "progress is not told, failures and the end are": "不通知进度，失败和结束仍会通知",
}

_OF_KEYS = {
    "the keys, the token or the project id hold a character that no HTTP header can carry; a line break at the end\\?": (
        "密钥、令牌或项目 ID 中含有 HTTP 头不能携带的字符，例如末尾的换行符"
    ),
    r"(?P<name>\w+) not set in the environment; set both, or name other `credentials` for the project": (
        "环境变量 {name} 未设置；请同时设置两个变量，或为项目配置其他 `credentials`"
    ),
    r"(?P<name>\w+) and (?P<other>\w+) not set in the environment; set both, or name other `credentials` for the project": (
        "环境变量 {name} 和 {other} 未设置；请同时设置，或为项目配置其他 `credentials`"
    ),
    r"profile file (?P<path>.+) cannot be read: (?P<answer>.+); write `ak = …` and `sk = …` under `\[basic\]` there": (
        "无法读取配置文件 {path}：“{answer}”；请在其 `[basic]` 下填写 `ak = …` 和 `sk = …`"
    ),
    r"profile file (?P<path>.+) (?:is not|has no) .+; write `ak = …` and `sk = …` under `\[basic\]` there": (
        "配置文件 {path} 无效；请在其 `[basic]` 下填写 `ak = …` 和 `sk = …`"
    ),
    r"the metadata service cannot be reached \((?P<inner>.+)\); .+": (
        "无法访问元数据服务（{inner}）；请为该 ECS 配置可读取 CSS 的委托，或配置其他 `credentials`"
    ),
    r"the metadata service answers (?P<status>HTTP \d+) to (?P<path>\S+); .+": (
        "元数据服务对 {path} 应答 {status}；请为该 ECS 配置可读取 CSS 的委托，或配置其他 `credentials`"
    ),
    r"the metadata service .+": "元数据服务没有给出可用的密钥；请为该 ECS 配置可读取 CSS 的委托，或配置其他 `credentials`",
}

DETAILS = DetailPhrases(
    quoted="原文：“{text}”",
    said={**_OF_OURS, **_OF_HTTP, **_OF_MAIL, **_ON_THE_WAY, **_OF_SLACK, **_OF_APPRISE, **_OF_KEYS},
    steps={
        "on connecting": "连接时",
        "on STARTTLS": "STARTTLS 时",
        "on logging in": "登录时",
        "for the sender": "提交发件人时",
        "for the recipient": "提交收件人时",
        "for the message": "提交邮件内容时",
    },
)
